//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// The program builds where it cannot measure: outside gives up before it comes here.

func runAttr() *syscall.SysProcAttr { return nil }

func daemonAttr() *syscall.SysProcAttr { return nil }

func newNet() (int, error) { return -1, errors.ErrUnsupported }

func enterNet(int) error { return errors.ErrUnsupported }

func kernel() string { return "" }
