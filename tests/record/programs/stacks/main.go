package main

import (
	"fmt"
	"sync"
)

func deep(n int) int {
	var room [100]byte
	room[n%100] = 1
	if n == 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n%100])
}

func main() {
	var done sync.WaitGroup
	gate := make(chan bool)
	for i := 0; i < 200; i++ {
		done.Add(1)
		go func(i int) {
			defer done.Done()
			deep(20 + i)
			<-gate
		}(i)
	}
	close(gate)
	done.Wait()
	fmt.Println(deep(20000))
}
