package sts

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fardel-io/fardel/policy"
)

// AssumeRoleInput is a request for a session. RoleARN and RoleSessionName are required.
type AssumeRoleInput struct {
	RoleARN         string
	RoleSessionName string        // 2 to 64 letters, digits and _=,.@+-
	Duration        time.Duration // 15 minutes to the role's maximum, in whole seconds; 0 is one hour

	Policy     string   // a session policy, which bounds what the session may do; at most 2,048 characters
	PolicyARNs []string // more of them, managed: at most ten, which count among the 2,048 characters

	Tags              []Tag    // of the session; at most 50
	TransitiveTagKeys []string // of those tags that sessions which begin from this one have, too

	ExternalID     string // 2 to 1,224 characters, as the trust policy may ask for; "" is none
	SourceIdentity string // who is behind it, for all sessions that begin from this one; 2 to 64 characters; "" is none

	// Conditions are more condition keys of the request, such as aws:SourceIp.
	Conditions map[string][]string
}

// AssumeRoleOutput is a session that was made.
type AssumeRoleOutput struct {
	Credentials      Credentials
	AssumedRoleARN   string // arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	AssumedRoleID    string // the role's unique ID, a colon and the session's name
	PackedPolicySize int    // of what session policies and tags may take, in percent
	SourceIdentity   string
}

// Bounds of a session (STS).
const (
	minDuration      = 15 * time.Minute
	defaultDuration  = time.Hour
	maxChainDuration = time.Hour // a session that begins from another
	maxPolicyARNs    = 10
	maxPolicyText    = 2048
)

// AssumeRole makes a session of a role for a caller whom the role's trust policy, and the caller's own policies if the
// trust policy leaves it to them, allow sts:AssumeRole, and sts:TagSession and sts:SetSourceIdentity where tags and a
// source identity come in. A role that does not exist is one that does not trust the caller.
func (s *Service) AssumeRole(caller *Identity, in AssumeRoleInput) (*AssumeRoleOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if in.Duration == 0 {
		in.Duration = defaultDuration
	}
	if caller.Principal.Type == policy.Root {
		return nil, fail(codeAccessDenied, "Roles may not be assumed by root accounts.")
	}
	if caller.SourceIdentity != "" {
		if in.SourceIdentity != "" && in.SourceIdentity != caller.SourceIdentity {
			return nil, fail(codeAccessDenied, "The source identity of the calling session is %s and cannot be changed.", caller.SourceIdentity)
		}
		in.SourceIdentity = caller.SourceIdentity
	}
	tags, transitive, err := sessionTags(&in, caller)
	if err != nil {
		return nil, err
	}
	if err := s.trusts(caller, &in, tags, transitive); err != nil {
		return nil, err
	}
	packed, percent, err := s.handOver(&handover{Policy: in.Policy, PolicyARNs: in.PolicyARNs, Tags: tags, Transitive: transitive})
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.roleByARN(in.RoleARN)
	if r == nil { // it was there a moment ago
		return nil, fail(codeNoSuchEntity, "The role with name %s cannot be found.", in.RoleARN)
	}
	if err := r.checkDuration(caller, in.Duration); err != nil {
		return nil, err
	}
	c, err := s.issue(r, in.RoleSessionName, in.Duration, in.SourceIdentity, packed)
	if err != nil {
		return nil, err
	}
	return &AssumeRoleOutput{
		Credentials: c, AssumedRoleARN: s.stsARN("assumed-role/" + r.name + "/" + in.RoleSessionName),
		AssumedRoleID: r.id + ":" + in.RoleSessionName, PackedPolicySize: percent, SourceIdentity: in.SourceIdentity,
	}, nil
}

// check holds an input to the rules that need no look at the role.
func (in *AssumeRoleInput) check() error {
	if err := length(in.RoleARN, "roleArn", minARN, maxARN); err != nil {
		return err
	}
	if p, err := policy.ParsePrincipal(in.RoleARN); err != nil || p.Type != policy.Role {
		return fail(codeValidation, "%s is invalid", in.RoleARN)
	}
	if err := checkSessionName(in.RoleSessionName); err != nil {
		return err
	}
	if in.ExternalID != "" {
		if err := checkExternalID(in.ExternalID); err != nil {
			return err
		}
	}
	if in.SourceIdentity != "" {
		if err := checkSourceIdentity(in.SourceIdentity); err != nil {
			return err
		}
	}
	seconds := strconv.FormatInt(int64(in.Duration/time.Second), 10)
	switch {
	case in.Duration%time.Second != 0:
		return violates(in.Duration.String(), "durationSeconds", "be whole seconds")
	case in.Duration != 0 && in.Duration < minDuration:
		return violates(seconds, "durationSeconds", "have value greater than or equal to 900")
	case in.Duration > maxDuration:
		return violates(seconds, "durationSeconds", "have value less than or equal to 43200")
	case utf8.RuneCountInString(in.Policy) > maxPolicyText:
		return violates("["+strconv.Itoa(utf8.RuneCountInString(in.Policy))+" characters]", "policy", "have length less than or equal to 2048")
	case len(in.PolicyARNs) > maxPolicyARNs:
		return violates("["+strconv.Itoa(len(in.PolicyARNs))+" ARNs]", "policyArns", "have length less than or equal to 10")
	}
	text := utf8.RuneCountInString(in.Policy)
	for i, arn := range in.PolicyARNs {
		text += len(arn)
		if err := length(arn, "policyArns."+strconv.Itoa(i+1)+".member.arn", minARN, maxARN); err != nil {
			return err
		}
	}
	if text > maxPolicyText { // STS: the plain text of both kinds of session policies together
		return fail(codePacked, "Packed policy consumes %d%% of allotted space, please use smaller policy.", (text*100+maxPolicyText-1)/maxPolicyText)
	}
	return nil
}

// trusts asks for every action that the request implies.
func (s *Service) trusts(caller *Identity, in *AssumeRoleInput, tags []Tag, transitive []string) error {
	conditions := map[string][]string{}
	for key, values := range in.Conditions {
		if !ofRequest(key) {
			conditions[key] = values
		}
	}
	conditions["sts:RoleSessionName"] = []string{in.RoleSessionName}
	conditions["sts:DurationSeconds"] = []string{strconv.FormatInt(int64(in.Duration/time.Second), 10)}
	if in.ExternalID != "" {
		conditions["sts:ExternalId"] = []string{in.ExternalID}
	}
	if in.SourceIdentity != "" {
		conditions["sts:SourceIdentity"] = []string{in.SourceIdentity}
	}
	for _, t := range tags {
		conditions["aws:RequestTag/"+t.Key] = []string{t.Value}
		conditions["aws:TagKeys"] = append(conditions["aws:TagKeys"], t.Key)
	}
	if len(transitive) > 0 {
		conditions["sts:TransitiveTagKeys"] = transitive
	}
	s.mu.RLock()
	if r := s.roleByARN(in.RoleARN); r != nil {
		for _, t := range r.tags {
			conditions["aws:ResourceTag/"+t.Key] = []string{t.Value}
			conditions["iam:ResourceTag/"+t.Key] = []string{t.Value}
		}
	}
	s.mu.RUnlock()
	actions := []string{"sts:AssumeRole"}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if in.SourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		if err := s.Authorize(caller, action, in.RoleARN, conditions); err != nil {
			return &Error{Code: codeAccessDenied, Message: err.Error(), Err: err}
		}
	}
	return nil
}

// ofRequest reports whether a condition key is about who calls AssumeRole and what it is given: such keys cannot be handed
// in.
func ofRequest(key string) bool {
	key = strings.ToLower(key)
	return slices.ContainsFunc([]string{
		"sts:", "aws:requesttag/", "aws:tagkeys", "aws:resourcetag/", "iam:resourcetag/",
		"aws:principal", "aws:user", "aws:tokenissuetime", "aws:sourceidentity", "aws:multifactorauth",
	}, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

// handOver checks and packs what a session is given.
func (s *Service) handOver(h *handover) (packed []byte, percent int, err error) {
	if h.Policy != "" {
		if _, err := parseSessionPolicy(h.Policy); err != nil {
			return nil, 0, documentError(err)
		}
	}
	h.PolicyARNs = slices.Compact(slices.Sorted(slices.Values(h.PolicyARNs)))
	for _, arn := range h.PolicyARNs {
		switch p := s.dir.Policy(arn); {
		case p == nil:
			return nil, 0, fail(codeNoSuchEntity, "Policy %s does not exist or is not attachable.", arn)
		case p.Kind() != policy.Identity:
			return nil, 0, fail(codeInvalidValue, "Policy %s is not one that identities can have.", arn)
		}
	}
	packed, percent, err = h.pack()
	switch {
	case err != nil:
		return nil, 0, fail(codeInvalidInput, "session policies and tags cannot be packed: %v", err)
	case percent > 100 && h.Policy == "" && len(h.PolicyARNs) == 0:
		return nil, 0, fail(codePacked, "Packed size of session tags consumes %d%% of allotted space.", percent)
	case percent > 100:
		return nil, 0, fail(codePacked, "Packed policy consumes %d%% of allotted space, please use smaller policy.", percent)
	}
	return packed, percent, nil
}

// checkDuration holds a duration to what the role allows. Services are not bound by it.
func (r *role) checkDuration(caller *Identity, d time.Duration) error {
	switch {
	case caller.Principal.Type == policy.Service:
		return nil
	case caller.Principal.Type == policy.RoleSession && d > maxChainDuration:
		return fail(codeValidation, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case d > r.maxSession:
		return fail(codeValidation, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return nil
}

// issue makes credentials. The caller holds s.mu.
func (s *Service) issue(r *role, sessionName string, d time.Duration, sourceIdentity string, packed []byte) (Credentials, error) {
	now := s.cfg.Now().UTC().Round(0)
	id := newAccessKeyID("ASIA")
	issued := now
	if revoked := s.revokedAt(r.id, sessionName, id); issued.Before(revoked) {
		issued = revoked // the clock went back, or has not moved since
	}
	s.noteIssued(issued)
	c := &claims{
		AccessKeyID: id, RoleID: r.id, SessionName: sessionName, IssuedAt: issued,
		Expiration: now.Add(d).Truncate(time.Second), SourceIdentity: sourceIdentity, Packed: packed,
	}
	token, err := s.sealClaims(c)
	if err != nil {
		return Credentials{}, fail(codeInvalidInput, "session cannot be written: %v", err)
	}
	return Credentials{
		AccessKeyID: id, SecretAccessKey: s.keys.secretOf(id), SessionToken: token,
		Expiration: c.Expiration, IssuedAt: issued, RoleARN: r.arn,
	}, nil
}

// accountOf is the account in the ARN of a role.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
