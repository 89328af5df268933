package main

import "fmt"

type job struct {
	data []byte
	next *job
}

func main() {
	work := make(chan *job, 64)
	done := make(chan int)
	go func() {
		n := 0
		var kept *job
		for j := range work {
			n += len(j.data)
			if n%7 == 0 {
				j.next, kept = kept, j
			}
		}
		done <- n
	}()
	for i := 0; i < 6000; i++ {
		work <- &job{data: make([]byte, 500+i%3000)}
	}
	close(work)
	fmt.Println(<-done)
}
