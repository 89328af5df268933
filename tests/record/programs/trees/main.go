package main

import "fmt"

type tree struct{ left, right *tree }

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{grow(depth - 1), grow(depth - 1)}
}

func (t *tree) size() int {
	if t == nil {
		return 0
	}
	return 1 + t.left.size() + t.right.size()
}

func main() {
	kept := grow(14)
	sum := 0
	for i := 0; i < 120; i++ {
		sum += grow(10).size()
	}
	fmt.Println(kept.size(), sum)
}
