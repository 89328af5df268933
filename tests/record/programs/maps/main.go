package main

import "fmt"

func main() {
	byNumber := map[int]string{}
	for i := 0; i < 60000; i++ {
		byNumber[i*7919%1000003] = fmt.Sprint(i)
	}
	for i := range byNumber {
		if i%3 != 0 {
			delete(byNumber, i)
		}
	}
	count := map[string]int{}
	for i := 0; i < 60000; i++ {
		count[fmt.Sprint(i%5000)]++
	}
	fmt.Println(len(byNumber), len(count))
}
