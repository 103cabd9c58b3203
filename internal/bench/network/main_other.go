//go:build !linux

package main

import "log"

func main() { log.Fatal("network: the Linux fabric is for Linux") }
