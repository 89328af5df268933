package main

import (
	"encoding/json"
	"fmt"
)

type row struct {
	Name string
	Tags []string
	Size float64
}

func main() {
	total := 0
	for n := 100; n <= 6400; n *= 2 {
		rows := make([]row, n)
		for i := range rows {
			rows[i] = row{fmt.Sprint("row", i), []string{"a", "b"}, float64(i) / 3}
		}
		text, _ := json.Marshal(rows)
		var back []row
		if json.Unmarshal(text, &back) == nil {
			total += len(text)
		}
	}
	fmt.Println(total)
}
