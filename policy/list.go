package policy

// chunkSize bounds what one change to a long list copies.
const chunkSize = 64

// list is an immutable list of entries in no order, in chunks so that a change copies one or two of them.
type list struct {
	owner  *edit
	chunks []*chunk // none is empty, all but the last are full
}

type chunk struct {
	owner   *edit
	entries []entry
}

func (l *list) empty() bool { return len(l.chunks) == 0 }

// own makes the slice of chunks this edit's, and the i-th chunk too.
func (l *list) own(e *edit, i int) *chunk {
	if l.owner != e {
		l.chunks = append(make([]*chunk, 0, len(l.chunks)+1), l.chunks...)
		l.owner = e
	}
	c := l.chunks[i]
	if c.owner != e {
		c = &chunk{owner: e, entries: append(make([]entry, 0, len(c.entries)+1), c.entries...)}
		l.chunks[i] = c
	}
	return c
}

func (l *list) add(e *edit, x entry) {
	if n := len(l.chunks); n > 0 && len(l.chunks[n-1].entries) < chunkSize {
		c := l.own(e, n-1)
		c.entries = append(c.entries, x)
		return
	}
	l.chunks = append(l.chunks[:len(l.chunks):len(l.chunks)], &chunk{owner: e, entries: []entry{x}})
}

// remove takes out every entry of a statement. The last entry of the list fills the gap.
func (l *list) remove(e *edit, st *statement) {
	for i := 0; i < len(l.chunks); i++ {
		for j := 0; i < len(l.chunks) && j < len(l.chunks[i].entries); {
			if l.chunks[i].entries[j].member.statement != st {
				j++
				continue
			}
			n := len(l.chunks) - 1
			last := l.own(e, n)
			k := len(last.entries) - 1
			x := last.entries[k]
			l.own(e, i).entries[j] = x
			last.entries[k] = entry{}
			if last.entries = last.entries[:k]; k == 0 {
				l.chunks[n] = nil
				l.chunks = l.chunks[:n]
			}
		}
	}
}
