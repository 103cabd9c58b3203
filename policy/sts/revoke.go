package sts

import (
	"time"
)

// The keys of state.Revoked.
func revokedRole(roleID string) string             { return "role/" + roleID }
func revokedSession(roleID, session string) string { return "session/" + roleID + "/" + session }
func revokedKey(accessKeyID string) string         { return "key/" + accessKeyID }

// maxRevoked bounds the list of revocations, which forgets each after twelve hours: 20,000 take about 2 MB in the store.
const maxRevoked = 20000

// revoke notes that what was issued before a time counts no more. The caller holds s.mu.
func (s *Service) revoke(what string, before time.Time) error {
	before = before.UTC().Round(0)
	if s.state.Revoked[what].After(before) {
		return nil // more is revoked already
	}
	if _, known := s.state.Revoked[what]; !known && len(s.state.Revoked) >= maxRevoked {
		return fail(codeLimit, "%d revocations are kept, for twelve hours each: revoke the sessions of a whole role instead", maxRevoked)
	}
	return s.update(func(next *state) { next.Revoked[what] = before })
}

// RevokeSessions ends all sessions of a role that were issued before a time, which must not be in the future. The zero
// time is now. It takes effect with the next request and survives a restart. Whoever may assume the role may do so again;
// change the trust policy to prevent that. Sessions of other roles that began from one of the revoked go on.
func (s *Service) RevokeSessions(roleName string, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.role(roleName)
	if err != nil {
		return err
	}
	before, err = s.past(before)
	if err != nil {
		return err
	}
	return s.revoke(revokedRole(r.id), before)
}

// RevokeSession ends one session of a role, such as a task's, whose session is named after its ID: everything issued
// under that name so far. See [Service.RevokeSessions].
func (s *Service) RevokeSession(roleName, sessionName string) error {
	if err := checkSessionName(sessionName); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.role(roleName)
	if err != nil {
		return err
	}
	now, err := s.past(time.Time{})
	if err != nil {
		return err
	}
	return s.revoke(revokedSession(r.id, sessionName), now)
}

// RevokeKey ends the temporary credentials with an access key ID. The ID may be one that this service never issued: that
// makes no difference.
func (s *Service) RevokeKey(accessKeyID string) error {
	if len(accessKeyID) < 16 || len(accessKeyID) > 128 || !consists(accessKeyID, letters+digits) {
		return violates(accessKeyID, "accessKeyId", `satisfy regular expression pattern: [\w]{16,128}`)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.past(time.Time{})
	if err != nil {
		return err
	}
	return s.revoke(revokedKey(accessKeyID), now)
}

// past is a time up to which everything can be revoked: t, or right after now.
func (s *Service) past(t time.Time) (time.Time, error) {
	now := s.cfg.Now()
	switch {
	case t.IsZero():
		// What was issued at this very moment is before it, and what is issued next is not.
		return time.Unix(0, max(now.UnixNano(), s.issued.Load())+1), nil
	case t.After(now):
		return t, fail(codeValidation, "Sessions issued before %s cannot be revoked yet: it is in the future", t.UTC().Format(time.RFC3339))
	}
	return t, nil
}

// revokedAt is the latest time at which anything of a session was revoked. The caller holds s.mu.
func (s *Service) revokedAt(roleID, session, accessKeyID string) time.Time {
	latest := s.state.Revoked[revokedRole(roleID)]
	for _, what := range [...]string{revokedSession(roleID, session), revokedKey(accessKeyID)} {
		if t := s.state.Revoked[what]; t.After(latest) {
			latest = t
		}
	}
	return latest
}

// noteIssued remembers the latest time at which anything was issued, which a clock that stands still or goes back can
// leave in the future.
func (s *Service) noteIssued(t time.Time) {
	for {
		latest := s.issued.Load()
		if t.UnixNano() <= latest || s.issued.CompareAndSwap(latest, t.UnixNano()) {
			return
		}
	}
}
