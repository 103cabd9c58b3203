package bolt

import "go.etcd.io/bbolt"

// SetWrite replaces the commit of a store's transactions.
func SetWrite(s *Store, write func(*bbolt.Tx) error) { s.write = write }

// Waiting is how many updates wait for the next write.
func Waiting(s *Store) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}
