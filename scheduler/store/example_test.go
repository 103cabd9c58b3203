package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fardel-io/fardel/scheduler/store"
)

func ExampleMemory() {
	ctx := context.Background()
	s := store.NewMemory()
	defer s.Close()

	at, err := s.Update(ctx, store.Create("task/blue/1", []byte("RUNNING")), store.Create("task/blue/2", []byte("PENDING")))
	if err != nil {
		fmt.Println(err)
		return
	}
	// Two who read the same state cannot both change it.
	_, first := s.Update(ctx, store.Replace("task/blue/2", []byte("RUNNING"), at))
	_, second := s.Update(ctx, store.Replace("task/blue/2", []byte("STOPPED"), at))
	fmt.Println(first, errors.Is(second, store.ErrConflict))

	_ = s.View(ctx, func(r store.Reader) error {
		tasks, err := r.List(ctx, "task/blue/", "", 0)
		for _, e := range tasks {
			fmt.Printf("%s %s\n", e.Key, e.Value)
		}
		return err
	})
	// Output:
	// <nil> true
	// task/blue/1 RUNNING
	// task/blue/2 RUNNING
}

func ExampleWatcher() {
	ctx := context.Background()
	s := store.NewMemory()
	defer s.Close()
	_, _ = s.Update(ctx, store.Put("task/blue/1", []byte("RUNNING")))

	w, err := s.Watch(ctx, "task/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	for range 2 {
		batch, err := w.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, e := range batch.Events {
			fmt.Printf("%d %s %s, snapshot %v\n", batch.Revision, e.Key, e.Value, batch.Snapshot)
		}
		if batch.Snapshot {
			_, _ = s.Update(ctx, store.Put("task/blue/1", []byte("STOPPED")))
		}
	}
	// Output:
	// 1 task/blue/1 RUNNING, snapshot true
	// 2 task/blue/1 STOPPED, snapshot false
}
