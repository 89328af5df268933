package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"sort"
	"strings"
)

func main() {
	var text strings.Builder
	for i := 0; i < 60000; i++ {
		fmt.Fprintf(&text, "word%d ", i*31%9973)
	}
	words := strings.Fields(text.String())
	sort.Strings(words)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	io.WriteString(w, strings.Join(words, "\n"))
	w.Close()
	r, _ := gzip.NewReader(&packed)
	back, _ := io.ReadAll(r)
	fmt.Println(len(words), len(back))
}
