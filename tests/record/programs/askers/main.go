// Who asks is known by how much: each function takes a number of pages of its own.
package main

import "fmt"

const page = 8192

type filler interface{ fill(n int) []byte }

type box struct{ kept [][]byte }

//go:noinline
func (b *box) fill(n int) []byte {
	b.kept = append(b.kept, make([]byte, n*page))
	return b.kept[len(b.kept)-1]
}

//go:noinline
func alpha() []byte { return make([]byte, 43*page) }

//go:noinline
func deep(n int) []byte {
	var pad [160]byte
	pad[n] = byte(n)
	if n == 0 {
		return alpha()
	}
	got := deep(n - 1)
	got[0] += pad[n]
	return got
}

//go:noinline
func through(f filler) []byte { return f.fill(59) }

func main() {
	total := len(alpha()) + len(deep(5)) + len(through(&box{}))
	done := make(chan int)
	go func() {
		done <- len((&box{}).fill(77))
	}()
	total += <-done
	grown := []byte{1}
	for len(grown) < 88*page {
		grown = append(grown, make([]byte, len(grown))...)
	}
	fmt.Println(total + len(grown))
}
