package sts

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// holder is what roles and users have in common: policies and tags. It is guarded by the service's mu; replaced as a
// whole when something changes, so that a failed change leaves nothing.
type holder struct {
	kind      string // "role" or "user"
	name      string
	path      string
	arn       string
	id        string
	createdAt time.Time

	inline   map[string]*policy.Policy // by name
	attached []string                  // ARNs, in order of attaching
	boundary string                    // ARN, or ""
	tags     []Tag
}

// Quotas of IAM.
const (
	maxAttached   = 10
	maxTags       = 50
	inlineOfRole  = 10240 // characters, white space aside
	inlineOfUser  = 2048
	maxTagKey     = 128
	maxTagValue   = 256
	maxAccessKeys = 2 // per user
)

func title(kind string) string { return strings.ToUpper(kind[:1]) + kind[1:] }

func (h *holder) clone() *holder {
	c := *h
	c.inline, c.attached, c.tags = maps.Clone(h.inline), slices.Clone(h.attached), slices.Clone(h.tags)
	if c.inline == nil {
		c.inline = map[string]*policy.Policy{}
	}
	return &c
}

// putInline parses and adds an inline policy.
func (h *holder) putInline(name, document string) error {
	if err := checkName(name, "policyName", maxPolicyName); err != nil {
		return err
	}
	quota := inlineOfRole
	if h.kind == "user" {
		quota = inlineOfUser
	}
	p, err := policy.Parse([]byte(document), policy.Options{Name: h.arn + " inline policy " + name, Quota: policy.NoQuota})
	if err != nil {
		return documentError(err)
	}
	h.inline[name] = p
	size := 0
	for _, p := range h.inline {
		size += p.Size()
	}
	if size > quota {
		return fail(codeLimit, "Maximum policy size of %d bytes exceeded for %s %s", quota, h.kind, h.name)
	}
	return nil
}

// attach adds a managed policy.
func (h *holder) attach(arn string) error {
	if slices.Contains(h.attached, arn) {
		return nil
	}
	if len(h.attached) >= maxAttached {
		return fail(codeLimit, "Cannot exceed quota for PoliciesPer%s: %d", title(h.kind), maxAttached)
	}
	h.attached = append(h.attached, arn)
	return nil
}

// tag adds tags, in the place of those with the same key.
func (h *holder) tag(tags []Tag) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	for _, t := range tags {
		if i := slices.IndexFunc(h.tags, t.sameKey); i >= 0 {
			h.tags[i] = t
		} else {
			h.tags = append(h.tags, t)
		}
	}
	if len(h.tags) > maxTags {
		return fail(codeLimit, "The number of tags has reached the maximum limit.")
	}
	return nil
}

// publish hands a holder's policies to the directory. The caller holds s.mu.
func (s *Service) publish(h *holder) error {
	for _, arn := range append(slices.Clone(h.attached), h.boundary) {
		if arn != "" && s.dir.Policy(arn) == nil {
			return fail(codeNoSuchEntity, "Policy %s does not exist or is not attachable.", arn)
		}
	}
	a := policy.Attachments{Policies: h.attached, Boundary: h.boundary}
	for _, name := range slices.Sorted(maps.Keys(h.inline)) {
		a.Inline = append(a.Inline, h.inline[name])
	}
	if err := s.dir.Attach(h.arn, a); err != nil {
		return &Error{Code: codeInvalidInput, Message: err.Error(), Err: err}
	}
	return nil
}

// documents returns the inline policies as they were given.
func (h *holder) documents() map[string]string {
	docs := make(map[string]string, len(h.inline))
	for name, p := range h.inline {
		docs[name] = p.Source()
	}
	return docs
}

// empty reports why a holder cannot be deleted.
func (h *holder) empty() error {
	switch {
	case len(h.attached) > 0:
		return fail(codeConflict, "Cannot delete entity, must detach all policies first.")
	case len(h.inline) > 0:
		return fail(codeConflict, "Cannot delete entity, must delete policies first.")
	}
	return nil
}
