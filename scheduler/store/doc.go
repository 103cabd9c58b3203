// Package store keeps a cluster's state: keys with values, changed several at once under conditions, read at one
// revision, followed by watches. It knows nothing of tasks and services; what is under a key is up to its writer.
//
//	s := store.NewMemory() // or bolt.Open(path, bolt.Options{})
//	defer s.Close()
//	at, err := s.Update(ctx, store.Create("task/blue/7f3a", record), store.Replace("service/blue/web", counts, seen))
//	if errors.Is(err, store.ErrConflict) {
//		// somebody was faster: read again, decide again
//	}
//	w, err := s.Watch(ctx, "task/blue/")
//	for {
//		batch, err := w.Next(ctx) // the first is a snapshot, then every change
//		...
//	}
//
// # Keys
//
// A key is a path of what, whose and which one, so that everything somebody follows has one prefix. Numbers are padded,
// so that the order of keys is theirs.
//
//	what / whose / which one             followed by prefix
//	─────┬───────┬──────────────         ──────────────────────────────────────────────────────
//	definition / web / 0000000012        definition/web/         the revisions of a family
//	service    / blue / api              service/blue/           the scheduler of cluster blue
//	task       / blue / 7f3a…            task/blue/              the scheduler of cluster blue
//	assigned   / i-04b1 / 7f3a…          assigned/i-04b1/        the agent of that machine, and it alone
//
// What the table shows is how keys are made; which there are is the business of package scheduler. Three rules come
// from the stores of several machines that this interface is made for, etcd first:
//
//   - No key that everybody writes. Three etcd members take 300 updates of one key a second and 13,000 of many keys in
//     batches: no global counters, no global locks. Names are random or come from their parent.
//   - Whoever follows something follows only that. A watch of a million keys to see ten is paid for by the store.
//   - An update is small: [MaxChanges] changes and [MaxUpdate] bytes. More is several updates, and then each of them
//     must leave a state that makes sense alone.
//
// # What may happen to an update
//
// It is done, it is not ([ErrConflict], [ErrInvalid], the context's error), or nobody knows ([ErrUnknown]): a network
// store's answer was lost, or a disk refused at the last moment. After the third read what is there. An update made of
// [Create], [Replace] and [DeleteAt] alone can always be tried again, as it conflicts with itself.
//
// # Stores
//
// [NewMemory] lives in the process. Package store/bolt keeps one file on one machine. Every store passes the suite in
// store/storetest. [Feed] and [Validate] are for writing another one.
package store
