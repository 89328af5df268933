package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
)

func main() {
	word := os.Getenv("WORD")
	if file := os.Getenv("WORD_FILE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		word = string(text)
	}
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Print(os.Args[1:], " ", word, " ", line)
	code, _ := strconv.Atoi(os.Args[len(os.Args)-1])
	os.Exit(code)
}
