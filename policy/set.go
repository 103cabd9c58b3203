package policy

// Set is a number of policies that are asked as one.
type Set struct {
	list []*statement
}

// NewSet compiles policies into one set.
func NewSet(policies ...*Policy) *Set {
	s := &Set{}
	for _, p := range policies {
		s.list = append(s.list, p.statements...)
	}
	return s
}
