package sts

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// document is what a [Store] keeps.
type document struct {
	Version int    `json:"version"`
	Root    []byte `json:"key"`
	state
}

// state is what changes of it.
type state struct {
	// AccessKeys are the users' long-lived keys, by ID. Their secrets are derived from the root key.
	AccessKeys map[string]accessKey `json:"accessKeys,omitempty"`

	// Revoked says which credentials count no more: those issued before the time. Keys are made by the functions in
	// revoke.go.
	Revoked map[string]time.Time `json:"revoked,omitempty"`
}

type accessKey struct {
	User      string    `json:"user"` // unique ID
	CreatedAt time.Time `json:"createdAt"`
	Inactive  bool      `json:"inactive,omitempty"`
}

// stateVersion is the layout written by this version of the package.
const stateVersion = 1

// loadState reads the state, or makes and saves a new one.
func loadState(store Store) (state, *keyring, error) {
	data, err := store.Load()
	if err != nil {
		return state{}, nil, fmt.Errorf("%w: read: %w", ErrStore, err)
	}
	doc := document{Version: stateVersion}
	if data == nil {
		doc.Root = make([]byte, rootSize)
		_, _ = rand.Read(doc.Root) // never fails: the program would be ended
	} else if err := json.Unmarshal(data, &doc); err != nil {
		// The error of package json may hold some of the text.
		return state{}, nil, fmt.Errorf("%w: what it holds (%d bytes) is not what this package writes: restore it, or delete it, which ends all credentials issued", ErrStore, len(data))
	}
	if doc.Version != stateVersion {
		return state{}, nil, fmt.Errorf("%w: it has layout %d and this version of fardel reads %d: use the version that wrote it", ErrStore, doc.Version, stateVersion)
	}
	keys, err := newKeyring(doc.Root)
	if err != nil {
		return state{}, nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	if data == nil {
		err = doc.state.save(store, keys)
	}
	return doc.state, keys, err
}

func (st state) save(store Store, keys *keyring) error {
	data, err := json.Marshal(document{Version: stateVersion, Root: keys.root, state: st})
	if err == nil {
		err = store.Save(data)
	}
	if err != nil {
		return fmt.Errorf("%w: write: %w", ErrStore, err)
	}
	return nil
}

// update changes the state, first in the store and then in memory. The caller holds s.mu.
func (s *Service) update(f func(next *state)) error {
	next := s.state
	next.AccessKeys, next.Revoked = maps.Clone(next.AccessKeys), maps.Clone(next.Revoked)
	if next.AccessKeys == nil {
		next.AccessKeys = map[string]accessKey{}
	}
	if next.Revoked == nil {
		next.Revoked = map[string]time.Time{}
	}
	f(&next)
	next.sweep(s.cfg.Now())
	if err := next.save(s.cfg.Store, s.keys); err != nil {
		return err
	}
	s.state = next
	return nil
}

// sweep forgets revocations of what has expired by itself.
func (st *state) sweep(now time.Time) {
	for _, key := range slices.Collect(maps.Keys(st.Revoked)) {
		if now.Sub(st.Revoked[key]) > maxDuration {
			delete(st.Revoked, key)
		}
	}
}
