package scheduler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fardel-io/fardel/scheduler/store"
	"github.com/fardel-io/fardel/task"
)

// RegisterTaskDefinition stores a definition as the next revision of its family and returns it as stored: with its ARN
// and revision, and cpu and memory as plain integers. Every call makes a revision, as in ECS. Members that ECS sets
// itself, such as those in the output of describe-task-definition, are left out of what is registered.
//
// It fails with a [*task.ValidationError] that lists every problem when the definition is not valid for each of its
// requiresCompatibilities.
func (c *Cluster) RegisterTaskDefinition(ctx context.Context, def *task.TaskDefinition) (*task.TaskDefinition, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	def, err := input(def)
	if err != nil {
		return nil, err
	}
	for {
		f, err := c.family(ctx, def.Family)
		if err != nil {
			return nil, err
		}
		p, err := c.prepare(def, f)
		if err != nil {
			return nil, err
		}
		if err := c.authorizeRegister(ctx, p.Definition); err != nil {
			return nil, err
		}
		_, err = c.cfg.Store.Update(ctx, p.changes...)
		if !errors.Is(err, store.ErrConflict) { // else somebody else was faster
			return p.Definition, err
		}
	}
}

// authorizeRegister asks for everything that registering a definition implies. stored has the ARN that it is to get.
func (c *Cluster) authorizeRegister(ctx context.Context, stored *task.TaskDefinition) error {
	k := conditions{}
	k.requestTags(stored.Tags)
	k.taskSize(stored)
	k.setBool("ecs:privileged", slices.ContainsFunc(stored.ContainerDefinitions, func(d task.ContainerDefinition) bool {
		return d.Privileged
	}))
	for _, l := range stored.RequiresCompatibilities {
		k["ecs:compute-compatibility"] = append(k["ecs:compute-compatibility"], string(l))
	}
	if err := c.authorize(ctx, "ecs:RegisterTaskDefinition", "*", k); err != nil {
		return err
	}
	if err := c.authorizeRoles(ctx, stored.TaskRoleARN, stored.ExecutionRoleARN); err != nil {
		return err
	}
	return c.authorizeTags(ctx, "RegisterTaskDefinition", stored.TaskDefinitionARN, stored.Tags)
}

// input is what registering a definition stores: a valid one without the members that ECS sets.
func input(def *task.TaskDefinition) (*task.TaskDefinition, error) {
	if def == nil {
		return nil, fmt.Errorf("%w: no task definition given", ErrInvalid)
	}
	def, err := def.Normalized()
	if err != nil {
		return nil, err
	}
	def.TaskDefinitionARN, def.Revision, def.Status = "", 0, ""
	def.RequiresAttributes, def.Compatibilities = nil, nil
	def.RegisteredAt, def.DeregisteredAt, def.DeleteRequestedAt = time.Time{}, time.Time{}, time.Time{}
	def.RegisteredBy = ""
	return def, def.ValidateRequired()
}

// prepared is a definition as it is stored, with what stores it: nothing for one that is.
type prepared struct {
	definitionRecord
	changes []store.Change // they fail with store.ErrConflict when somebody else registers in the family first
}

// prepare makes the next revision of a family, which nobody has added to since it was read.
func (c *core) prepare(def *task.TaskDefinition, f family) (p prepared, err error) {
	if p.Digest, err = digestOf(def); err != nil {
		return p, err
	}
	f.Last++
	stored := def.Clone()
	stored.Revision = f.Last
	stored.TaskDefinitionARN = c.cfg.scope().TaskDefinition(def.Family, f.Last).String()
	stored.Status = task.DefinitionActive
	stored.Compatibilities = def.ValidLaunchTypes()
	stored.RegisteredAt = time.Now().UTC()
	p.Definition = stored
	counter, err := put(prefixFamilies+def.Family, f.familyRecord, f.at)
	if err != nil {
		return p, err
	}
	revision, err := put(keyDefinition(def.Family, f.Last), p.definitionRecord, 0)
	p.changes = []store.Change{counter, revision}
	return p, err
}

// resolve finds the registered form of def: itself when it is a revision of this cluster, else the newest revision of
// its family when that says the same, else a new revision, which is not stored yet.
func (c *core) resolve(ctx context.Context, def *task.TaskDefinition) (p prepared, err error) {
	if def != nil && def.TaskDefinitionARN != "" {
		p.Definition, err = c.definition(ctx, def.TaskDefinitionARN)
		if !errors.Is(err, ErrNotFound) {
			return p, err
		}
	}
	in, err := input(def)
	if err != nil {
		return p, err
	}
	digest, err := digestOf(in)
	if err != nil {
		return p, err
	}
	f, err := c.family(ctx, in.Family)
	if err != nil {
		return p, err
	}
	if f.newest.Digest == digest {
		return prepared{definitionRecord: f.newest}, nil
	}
	return c.prepare(in, f)
}

// digestOf identifies the content of a definition.
func digestOf(def *task.TaskDefinition) (string, error) {
	data, err := json.Marshal(def)
	if err != nil {
		return "", err
	}
	return sum(data), nil
}

// sum is the hexadecimal SHA-256 of data.
func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// TaskDefinition returns a registered definition by ARN, "family:revision", or "family" for its newest active revision.
func (c *Cluster) TaskDefinition(ctx context.Context, name string) (*task.TaskDefinition, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	if err := c.authorize(ctx, "ecs:DescribeTaskDefinition", "*", nil); err != nil {
		return nil, err
	}
	return c.definition(ctx, name)
}

// definition reads a registered definition.
func (c *core) definition(ctx context.Context, name string) (*task.TaskDefinition, error) {
	family, revision, err := c.familyRevision(name)
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		f, err := c.family(ctx, family)
		if err == nil && f.newest.Definition == nil {
			err = fmt.Errorf("%w: task definition family %s has no active revision", ErrNotFound, family)
		}
		return f.newest.Definition, err
	}
	var rec definitionRecord
	at, err := load(ctx, c.cfg.Store, keyDefinition(family, revision), &rec)
	if err == nil && at == 0 {
		err = fmt.Errorf("%w: task definition %s", ErrNotFound, name)
	}
	return rec.Definition, err
}

// familyRevision reads the names that a definition can be given. An ARN of another cluster names none here.
func (c *core) familyRevision(name string) (family string, revision int, err error) {
	short := name
	if strings.HasPrefix(name, "arn:") {
		r, err := task.ParseResource(name)
		if err != nil {
			return "", 0, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if r.Kind != task.KindTaskDefinition || c.cfg.scope().TaskDefinition(r.Name, r.Revision).String() != name {
			return "", 0, fmt.Errorf("%w: task definition %s is none of this cluster", ErrNotFound, name)
		}
		return r.Name, r.Revision, nil
	}
	family, revision, err = task.ParseFamilyRevision(short)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return family, revision, err
}

// family is what is registered under one name, as of one moment. What was never registered is the zero value.
type family struct {
	familyRecord
	at     store.Revision   // of the record
	newest definitionRecord // active revision; without a definition when there is none
}

// family reads a family. Its newest active revision is looked for from the end, where it nearly always is.
func (c *core) family(ctx context.Context, name string) (f family, err error) {
	err = c.cfg.Store.View(ctx, func(r store.Reader) (err error) {
		if f.at, err = get(ctx, r, prefixFamilies+name, &f.familyRecord); err != nil {
			return err
		}
		for revision := f.Last; revision > 0; revision-- {
			var rec definitionRecord
			at, err := get(ctx, r, keyDefinition(name, revision), &rec)
			if err != nil {
				return err
			}
			if at != 0 && rec.Definition.Status == task.DefinitionActive {
				f.newest = rec
				return nil
			}
		}
		return nil
	})
	return f, err
}

// ListTaskDefinitions returns the registered definitions of a family, or of all families for "", by family and revision.
// Inactive revisions are among them.
func (c *Cluster) ListTaskDefinitions(ctx context.Context, family string) ([]*task.TaskDefinition, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	for _, action := range []string{"ecs:ListTaskDefinitions", "ecs:DescribeTaskDefinition"} { // ECS's list has ARNs only
		if err := c.authorize(ctx, action, "*", nil); err != nil {
			return nil, err
		}
	}
	prefix := prefixDefinitions
	if family != "" {
		prefix += family + "/"
	}
	recs, err := all[definitionRecord](ctx, c.cfg.Store, prefix)
	if err != nil {
		return nil, err
	}
	defs := make([]*task.TaskDefinition, len(recs))
	for i, rec := range recs {
		defs[i] = rec.Definition
	}
	return defs, nil
}

// DeregisterTaskDefinition makes a revision INACTIVE, named by ARN or "family:revision": tasks that run it go on, new
// ones are refused.
func (c *Cluster) DeregisterTaskDefinition(ctx context.Context, name string) (*task.TaskDefinition, error) {
	if err := c.await(ctx); err != nil {
		return nil, err
	}
	if err := c.authorize(ctx, "ecs:DeregisterTaskDefinition", "*", nil); err != nil {
		return nil, err
	}
	family, revision, err := c.familyRevision(name)
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return nil, fmt.Errorf("%w: %s", ErrInvalid, "Revision is missing.") // ECS's words
	}
	var rec definitionRecord
	key := keyDefinition(family, revision)
	at, err := load(ctx, c.cfg.Store, key, &rec)
	if err != nil {
		return nil, err
	}
	if at == 0 {
		return nil, fmt.Errorf("%w: task definition %s", ErrNotFound, name)
	}
	if rec.Definition.Status != task.DefinitionActive {
		return rec.Definition, nil
	}
	rec.Definition.Status = task.DefinitionInactive
	rec.Definition.DeregisteredAt = time.Now().UTC()
	change, err := put(key, rec, at)
	if err != nil {
		return nil, err
	}
	_, err = c.cfg.Store.Update(ctx, change)
	return rec.Definition, err
}
