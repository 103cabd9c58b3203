package policy

import "slices"

// Question is a request, with the policies that its principal's session was handed, as a simulation asks it.
type Question struct {
	Request *Request
	Session *Set // nil when nothing was handed over
}

// Change is a question that is answered differently after a change of policies than before.
type Change struct {
	Question      Question
	Before, After Decision
}

// Lost reports whether the change takes the permission away.
func (c Change) Lost() bool { return c.Before.Allowed() && !c.After.Allowed() }

// Gained reports whether the change gives the permission.
func (c Change) Gained() bool { return !c.Before.Allowed() && c.After.Allowed() }

// Simulate asks two directories the same and returns the questions of which one allows what the other denies, in their
// order: who would lose or gain access, if after were to take the place of before. after is a [Directory.Clone] of
// before with changes, as a rule. What is worth asking is for the caller to know: the requests of an audit trail, or
// every [Directory.Holders] with the actions and resources of interest. Neither directory changes.
func Simulate(before, after *Directory, questions []Question) []Change {
	var changes []Change
	for _, q := range questions {
		c := Change{Question: q, Before: before.Decide(q.Request, q.Session), After: after.Decide(q.Request, q.Session)}
		if c.Lost() || c.Gained() {
			changes = append(changes, c)
		}
	}
	return changes
}

// Holders returns everything that has attachments, sorted: ARNs of users and roles, and names of groups.
func (d *Directory) Holders() []string {
	var arns []string
	d.current().holders.all(func(arn string, _ *holder) bool {
		arns = append(arns, arn)
		return true
	})
	slices.Sort(arns)
	return arns
}

// All calls f for every key and its values, in the order they were set, until f returns false. It can be ranged over.
// The values belong to the context.
func (c *Context) All(f func(name string, values []string) bool) {
	for i := range c.entries {
		if !f(c.entries[i].key.name, c.entries[i].values) {
			return
		}
	}
}
