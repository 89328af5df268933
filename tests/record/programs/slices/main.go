package main

import "fmt"

func main() {
	var kept [][]byte
	for round := 1; round <= 24; round++ {
		var part []byte
		for len(part) < round*40000 {
			part = append(part, make([]byte, 4000)...)
		}
		kept = append(kept, part)
		if len(kept) > 6 {
			kept = kept[1:]
		}
	}
	numbers := []int{}
	for i := 0; i < 1000000; i++ {
		numbers = append(numbers, i)
	}
	fmt.Println(len(kept), len(numbers))
}
