package policy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Directory knows which policies have a say about which principal, resource and account, and finds the layers of a
// request by itself. The zero value is empty and ready to use.
//
// All methods are safe for concurrent use. A decision reads one state of the whole directory, takes no lock and
// allocates nothing; a change makes the next state, sharing all that it leaves alone, and every decision that begins
// after the change has returned sees it. Changes wait for each other. The cost of one grows with the principals that it
// is about, not with how many others there are.
type Directory struct {
	changes sync.Mutex // held by whoever makes the next state
	state   atomic.Pointer[directoryState]
}

type directoryState struct {
	policies  pmap[*stored]
	holders   pmap[*holder] // by the ARN of a user or role, or the name of a group
	resources pmap[*Set]
	accounts  pmap[*account]
}

// stored is a policy under its name, with the keys of the holders and accounts that it is attached to.
type stored struct {
	policy   *Policy
	holders  pmap[struct{}]
	accounts pmap[struct{}]
}

type holder struct {
	Attachments
	own      []*Set // one: a slice, for Layers
	boundary *Set
}

type account struct {
	Controls
	scps []*Set
	rcps []*Set
}

// Attachments are the policies of a user, role or group.
type Attachments struct {
	Policies []string  // names of policies in the directory
	Inline   []*Policy // the holder's own
	Boundary string    // name of a policy in the directory that bounds the permissions; "" for none
	Groups   []string  // of a user: under which names the attachments of its groups were set
}

// Controls are the policies of an account in an organization, as names of policies in the directory, one list for each
// level from the root of the organization down to the account. Nil SCPs bound nothing; a level that lists no policy
// allows nothing.
type Controls struct {
	SCPs [][]string
	RCPs [][]string
}

// ErrKind is returned when a policy is of a kind that has no place where it was put.
var ErrKind = errors.New("policy: wrong kind of policy")

// current is the state that decisions read.
func (d *Directory) current() *directoryState {
	if s := d.state.Load(); s != nil {
		return s
	}
	return &directoryState{}
}

// change makes the next state of a copy of this one, unless f returns an error.
func (d *Directory) change(f func(s *directoryState, e *edit) error) error {
	d.changes.Lock()
	defer d.changes.Unlock()
	next := *d.current()
	if err := f(&next, &edit{}); err != nil {
		return err
	}
	d.state.Store(&next)
	return nil
}

// Put stores a policy under its name, in the place of one of that name: everything that the old one is attached to has
// the new one from then on.
func (d *Directory) Put(p *Policy) error {
	if p.Name() == "" {
		return fmt.Errorf("%w: a policy in a directory needs a name: set Options.Name", ErrNotFound)
	}
	return d.change(func(s *directoryState, e *edit) error {
		entry := &stored{policy: p}
		if old, ok := s.policies.get(p.Name()); ok {
			if old.policy.Kind() != p.Kind() {
				return fmt.Errorf("%w: %s is of kind %s and cannot become %s", ErrKind, p.Name(), old.policy.Kind(), p.Kind())
			}
			entry.holders, entry.accounts = old.holders, old.accounts
			s.replace(e, old, p)
		}
		s.policies = s.policies.set(e, p.Name(), entry)
		return nil
	})
}

// replace puts next in the place of a stored policy wherever that is attached.
func (s *directoryState) replace(e *edit, old *stored, next *Policy) {
	holders, accounts := s.holders, s.accounts
	old.holders.all(func(key string, _ struct{}) bool {
		h, _ := s.holders.get(key)
		changed := *h
		changed.own = []*Set{replaceIn(h.own[0], old.policy, next)}
		changed.boundary = replaceIn(h.boundary, old.policy, next)
		holders = holders.set(e, key, &changed)
		return true
	})
	old.accounts.all(func(key string, _ struct{}) bool {
		a, _ := s.accounts.get(key)
		changed := account{Controls: a.Controls, scps: slices.Clone(a.scps), rcps: slices.Clone(a.rcps)}
		for i := range changed.scps {
			changed.scps[i] = replaceIn(changed.scps[i], old.policy, next)
		}
		for i := range changed.rcps {
			changed.rcps[i] = replaceIn(changed.rcps[i], old.policy, next)
		}
		accounts = accounts.set(e, key, &changed)
		return true
	})
	s.holders, s.accounts = holders, accounts
}

// replaceIn is Replace for a set that need not hold the old policy.
func replaceIn(s *Set, old, next *Policy) *Set {
	if s == nil || !slices.Contains(s.policies, old) {
		return s
	}
	return s.Replace(old, next)
}

// Delete removes a policy. It returns [ErrNotFound] when there is none of that name and [ErrInUse] while it is attached.
func (d *Directory) Delete(name string) error {
	return d.change(func(s *directoryState, e *edit) error {
		old, err := s.find(name)
		if err != nil {
			return err
		}
		if n := old.holders.n + old.accounts.n; n > 0 {
			return fmt.Errorf("%w: %s is attached to %d principals or accounts: detach it first", ErrInUse, name, n)
		}
		s.policies = s.policies.remove(e, name)
		return nil
	})
}

// Policy returns the policy of that name, nil when there is none.
func (d *Directory) Policy(name string) *Policy {
	if entry, ok := d.current().policies.get(name); ok {
		return entry.policy
	}
	return nil
}

func (s *directoryState) find(name string, kinds ...Kind) (*stored, error) {
	entry, ok := s.policies.get(name)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	case len(kinds) > 0 && !slices.Contains(kinds, entry.policy.Kind()):
		return nil, fmt.Errorf("%w: %s is of kind %s, want %s", ErrKind, name, entry.policy.Kind(), kinds[0])
	}
	return entry, nil
}

// set compiles named policies into a set.
func (s *directoryState) set(names []string, inline []*Policy, kinds ...Kind) (*Set, error) {
	policies := make([]*Policy, 0, len(names)+len(inline))
	for _, name := range names {
		entry, err := s.find(name, kinds...)
		if err != nil {
			return nil, err
		}
		policies = append(policies, entry.policy)
	}
	for _, p := range inline {
		if !slices.Contains(kinds, p.Kind()) {
			return nil, fmt.Errorf("%w: inline %s is of kind %s, want %s", ErrKind, p.Name(), p.Kind(), kinds[0])
		}
		policies = append(policies, p)
	}
	return NewSet(policies...), nil
}

// Attach sets all attachments of the user or role with that ARN, or of a group under any name of its own. The zero
// Attachments forget it.
func (d *Directory) Attach(arn string, a Attachments) error {
	a = Attachments{Policies: slices.Clone(a.Policies), Inline: slices.Clone(a.Inline), Boundary: a.Boundary, Groups: slices.Clone(a.Groups)}
	return d.change(func(s *directoryState, e *edit) error {
		own, err := s.set(a.Policies, a.Inline, Identity, Boundary)
		if err != nil {
			return fmt.Errorf("attach to %s: %w", arn, err)
		}
		h := &holder{Attachments: a, own: []*Set{own}}
		if a.Boundary != "" {
			if h.boundary, err = s.set([]string{a.Boundary}, nil, Boundary, Identity); err != nil {
				return fmt.Errorf("boundary of %s: %w", arn, err)
			}
		}
		var names []string
		if old, ok := s.holders.get(arn); ok {
			names = old.names()
		}
		s.use(e, names, h.names(), func(entry *stored) *pmap[struct{}] { return &entry.holders }, arn)
		if len(a.Policies)+len(a.Inline)+len(a.Groups) == 0 && a.Boundary == "" {
			s.holders = s.holders.remove(e, arn)
		} else {
			s.holders = s.holders.set(e, arn, h)
		}
		return nil
	})
}

func (h *holder) names() []string {
	if h.Boundary == "" {
		return h.Policies
	}
	return append(slices.Clone(h.Policies), h.Boundary)
}

// use notes in the stored policies that key no longer has the old ones and has the next ones.
func (s *directoryState) use(e *edit, old, next []string, users func(*stored) *pmap[struct{}], key string) {
	note := func(name string, f func(pmap[struct{}]) pmap[struct{}]) {
		entry, ok := s.policies.get(name)
		if !ok {
			return
		}
		changed := *entry
		u := users(&changed)
		*u = f(*u)
		s.policies = s.policies.set(e, name, &changed)
	}
	for _, name := range old {
		if !slices.Contains(next, name) {
			note(name, func(u pmap[struct{}]) pmap[struct{}] { return u.remove(e, key) })
		}
	}
	for _, name := range next {
		note(name, func(u pmap[struct{}]) pmap[struct{}] { return u.set(e, key, struct{}{}) })
	}
}

// SetResource gives a resource its policy, nil for none. The trust policy of a role is the policy of the role's ARN.
func (d *Directory) SetResource(arn string, p *Policy) error {
	if p != nil && p.Kind() != Resource && p.Kind() != Trust {
		return fmt.Errorf("%w: policy of %s is of kind %s, want Resource or Trust", ErrKind, arn, p.Kind())
	}
	return d.change(func(s *directoryState, e *edit) error {
		if p == nil {
			s.resources = s.resources.remove(e, arn)
		} else {
			s.resources = s.resources.set(e, arn, NewSet(p))
		}
		return nil
	})
}

// SetAccount gives an account the controls of its organization; the zero Controls are none.
func (d *Directory) SetAccount(id string, c Controls) error {
	return d.change(func(s *directoryState, e *edit) error {
		a := &account{}
		for _, level := range c.SCPs {
			set, err := s.set(level, nil, ServiceControl)
			if err != nil {
				return fmt.Errorf("account %s: %w", id, err)
			}
			a.SCPs, a.scps = append(a.SCPs, slices.Clone(level)), append(a.scps, set)
		}
		for _, level := range c.RCPs {
			set, err := s.set(level, nil, ResourceControl)
			if err != nil {
				return fmt.Errorf("account %s: %w", id, err)
			}
			a.RCPs, a.rcps = append(a.RCPs, slices.Clone(level)), append(a.rcps, set)
		}
		var names []string
		if old, ok := s.accounts.get(id); ok {
			names = old.names()
		}
		s.use(e, names, a.names(), func(entry *stored) *pmap[struct{}] { return &entry.accounts }, id)
		if len(a.scps)+len(a.rcps) == 0 {
			s.accounts = s.accounts.remove(e, id)
		} else {
			s.accounts = s.accounts.set(e, id, a)
		}
		return nil
	})
}

func (c *Controls) names() []string {
	return slices.Concat(slices.Concat(c.SCPs...), slices.Concat(c.RCPs...))
}

// Decide decides a request by the policies in the directory. session is what was handed over when the principal's
// session was made, nil when nothing was.
func (d *Directory) Decide(r *Request, session *Set) Decision {
	l := Layers{Session: session}
	d.current().fill(&l, r)
	return Evaluate(&l, r)
}

// Layers returns the layers that have a say in a request, as [Directory.Decide] evaluates them.
func (d *Directory) Layers(r *Request, session *Set) Layers {
	l := Layers{Session: session}
	d.current().fill(&l, r)
	l.Identity = slices.Clone(l.Identity)
	for _, group := range l.groups {
		l.Identity = append(l.Identity, l.groupSet(group))
	}
	l.groups, l.state = nil, nil
	return l
}

// groupSet is the set of a group, nil when it has no policies.
func (l *Layers) groupSet(group string) *Set {
	if g, ok := l.state.holders.get(group); ok {
		return g.own[0]
	}
	return nil
}

func (s *directoryState) fill(l *Layers, r *Request) {
	if r.Principal.ours() {
		key := r.Principal.Name
		if r.Principal.IssuerARN != "" {
			key = r.Principal.IssuerARN
		}
		if h, ok := s.holders.get(key); ok {
			l.Identity, l.Boundary = h.own, h.boundary
			l.groups, l.state = h.Groups, s
		}
		if s.accounts.n > 0 {
			if a, ok := s.accounts.get(r.Principal.Account); ok {
				l.SCPs = a.scps
			}
		}
	}
	if s.accounts.n > 0 {
		if a, ok := s.accounts.get(r.account()); ok {
			l.RCPs = a.rcps
		}
	}
	l.Resource = s.resource(r.Resource)
}

// resource finds the policy of a resource. What lies in an S3 bucket has the bucket's.
func (s *directoryState) resource(arn string) *Set {
	if s.resources.n == 0 {
		return nil
	}
	set, ok := s.resources.get(arn)
	if !ok && len(arn) > 8 && arn[:4] == "arn:" {
		if end := bucketEnd(arn); end > 0 {
			set, _ = s.resources.get(arn[:end])
		}
	}
	return set
}

// bucketEnd is where the name of the bucket ends in the ARN of an S3 object, 0 for anything else.
func bucketEnd(arn string) int {
	a := splitRequestARN(arn)
	if a.n != 6 || a.parts[2] != "s3" || a.parts[3] != "" {
		return 0
	}
	for i := len(arn) - len(a.parts[5]); i < len(arn); i++ {
		if arn[i] == '/' {
			return i
		}
	}
	return 0
}

// Clone returns a directory of its own with the same contents, at no cost that depends on them. Changes to one do not
// show in the other: change a clone and let both decide to see what a change would do.
func (d *Directory) Clone() *Directory {
	c := &Directory{}
	c.state.Store(d.current())
	return c
}
