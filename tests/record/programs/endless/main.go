package main

import "os"

var kept [64][]byte

func main() {
	endless := len(os.Args) < 2
	for i := 0; i < 2000 || endless; i++ {
		kept[i%64] = make([]byte, 1000+i%30000)
		for j := range kept[i%64] {
			kept[i%64][j] = byte(i + j)
		}
	}
}
