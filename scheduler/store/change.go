package store

import "fmt"

// The limits of one update and of its keys. They are what an etcd member accepts without being configured (128
// operations and 1.5 MiB a request, of which its own framing needs some), so that what one store takes all take.
const (
	MaxChanges = 128     // changes of one update
	MaxUpdate  = 1 << 20 // bytes of its keys and values together
	MaxKey     = 1024    // bytes of one key
)

// Change is one change of an update. Make it with [Put], [Create], [Replace], [Delete], [DeleteAt] or [Check].
type Change struct {
	Key    string // any bytes, at least one and at most MaxKey
	Value  []byte // for OpPut
	Op     Op
	Expect Expect
	At     Revision // what Expect compares with, for ExpectRevision; 0 is a key that is not there
}

// Op is what a change does with its key.
type Op uint8

// The operations.
const (
	OpPut Op = iota
	OpDelete
	OpCheck // only the condition
)

// Expect is the condition of a change.
type Expect uint8

// The conditions.
const (
	ExpectAny      Expect = iota
	ExpectAbsent          // the key is not there
	ExpectRevision        // the key was written by revision At
)

// Put sets a key, whatever it holds.
func Put(key string, value []byte) Change { return Change{Key: key, Value: value} }

// Create sets a key that must not be there.
func Create(key string, value []byte) Change {
	return Change{Key: key, Value: value, Expect: ExpectAbsent}
}

// Replace sets a key that must be at a revision.
func Replace(key string, value []byte, at Revision) Change {
	return Change{Key: key, Value: value, Expect: ExpectRevision, At: at}
}

// Delete removes a key, if it is there.
func Delete(key string) Change { return Change{Key: key, Op: OpDelete} }

// DeleteAt removes a key that must be at a revision.
func DeleteAt(key string, at Revision) Change {
	return Change{Key: key, Op: OpDelete, Expect: ExpectRevision, At: at}
}

// Check changes nothing and makes the update depend on a key being at a revision; 0 is not being there.
func Check(key string, at Revision) Change {
	return Change{Key: key, Op: OpCheck, Expect: ExpectRevision, At: at}
}

// Holds reports whether the change's condition holds for a key that is at a revision, 0 if it is not there.
func (c Change) Holds(at Revision) bool {
	switch c.Expect {
	case ExpectAny:
		return true
	case ExpectAbsent:
		return at == 0
	default:
		return at == c.At
	}
}

// Validate returns an error matching [ErrInvalid] for an update that no store takes: over one of the limits, with a key
// twice, with an empty key, with an operation or a condition that does not exist. Every Store calls it first; callers
// need not.
func Validate(changes []Change) error {
	if len(changes) > MaxChanges {
		return fmt.Errorf("%w: %d changes, at most %d go in one: split it", ErrInvalid, len(changes), MaxChanges)
	}
	size := 0
	seen := make(map[string]struct{}, len(changes))
	for i, c := range changes {
		switch {
		case c.Key == "":
			return fmt.Errorf("%w: the key of change %d is empty", ErrInvalid, i)
		case len(c.Key) > MaxKey:
			return fmt.Errorf("%w: the key of change %d, %q…, has %d bytes, at most %d", ErrInvalid, i, c.Key[:64], len(c.Key), MaxKey)
		case c.Op > OpCheck:
			return fmt.Errorf("%w: %q: no operation %d", ErrInvalid, c.Key, c.Op)
		case c.Expect > ExpectRevision:
			return fmt.Errorf("%w: %q: no condition %d", ErrInvalid, c.Key, c.Expect)
		case c.At < 0:
			return fmt.Errorf("%w: %q: no revision %d", ErrInvalid, c.Key, c.At)
		}
		if _, twice := seen[c.Key]; twice {
			return fmt.Errorf("%w: %q is changed twice", ErrInvalid, c.Key)
		}
		seen[c.Key] = struct{}{}
		size += len(c.Key) + len(c.Value)
	}
	if size > MaxUpdate {
		return fmt.Errorf("%w: %d bytes of keys and values, at most %d go in one: split it", ErrInvalid, size, MaxUpdate)
	}
	return nil
}
