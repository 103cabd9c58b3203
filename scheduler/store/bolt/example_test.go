package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/scheduler/store/bolt"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")

	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = bolt.Open(path, bolt.Options{LockTimeout: time.Millisecond})
	fmt.Println(errors.Is(err, store.ErrInUse))

	at, err := s.Update(context.Background(), store.Create("task/blue/1", []byte("RUNNING")))
	fmt.Println(at, err, s.Close())
	// Output:
	// true
	// 1 <nil> <nil>
}
