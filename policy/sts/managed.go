package sts

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/fardel-io/fardel/policy"
)

// CreatePolicy stores a managed policy and returns its ARN, under which it is in the directory. path "" is "/".
func (s *Service) CreatePolicy(name, path, document string) (arn string, err error) {
	if err := checkName(name, "policyName", maxPolicyName); err != nil {
		return "", err
	}
	path = cmp.Or(path, "/")
	if err := checkPath(path); err != nil {
		return "", err
	}
	arn = s.iamARN("policy" + path + name)
	p, err := policy.Parse([]byte(document), policy.Options{Name: arn})
	if err != nil {
		return "", documentError(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.policies[strings.ToLower(name)] != "" || s.dir.Policy(arn) != nil {
		return "", fail(codeExists, "A policy called %s already exists. Duplicate names are not allowed.", name)
	}
	if err := s.dir.Put(p); err != nil {
		return "", &Error{Code: codeInvalidInput, Message: err.Error(), Err: err}
	}
	s.policies[strings.ToLower(name)] = arn
	return arn, nil
}

// managed finds the name of a policy by its ARN. The caller holds s.mu.
func (s *Service) managed(arn string) (name string, err error) {
	name = strings.ToLower(arn[strings.LastIndexByte(arn, '/')+1:])
	if s.policies[name] != arn {
		return "", fail(codeNoSuchEntity, "Policy %s was not found.", arn)
	}
	return name, nil
}

// UpdatePolicy replaces the document of a managed policy (CreatePolicyVersion with SetAsDefault; older versions are not
// kept). All who have it attached have the new one at once.
func (s *Service) UpdatePolicy(arn, document string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.managed(arn); err != nil {
		return err
	}
	p, err := policy.Parse([]byte(document), policy.Options{Name: arn})
	if err != nil {
		return documentError(err)
	}
	return s.dir.Put(p)
}

// DeletePolicy removes a managed policy that is attached to nothing.
func (s *Service) DeletePolicy(arn string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, err := s.managed(arn)
	if err != nil {
		return err
	}
	if err := s.dir.Delete(arn); err != nil {
		return &Error{Code: codeConflict, Message: "Cannot delete a policy attached to entities.", Err: err}
	}
	delete(s.policies, name)
	return nil
}

// Policies returns the managed policies, as documents by their ARNs.
func (s *Service) Policies() map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	documents := make(map[string]string, len(s.policies))
	for _, name := range slices.Sorted(maps.Keys(s.policies)) {
		arn := s.policies[name]
		if p := s.dir.Policy(arn); p != nil {
			documents[arn] = p.Source()
		}
	}
	return documents
}
