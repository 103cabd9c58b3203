package sts

import (
	"crypto/sha256"
	"crypto/subtle"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// Authenticate finds whose an access key is. sessionToken is what the request brings along (X-Amz-Security-Token), "" for
// the key of a user. It does not check the request's signature: that is to be done with [Identity.SecretAccessKey] before
// anything is believed. Its error matches [ErrInvalidToken] or [ErrExpired]; which of a key's parts is wrong it does not
// say, as AWS does not.
func (s *Service) Authenticate(accessKeyID, sessionToken string) (*Identity, error) {
	if strings.HasPrefix(accessKeyID, "AKIA") {
		return s.authenticateUser(accessKeyID, sessionToken)
	}
	x, ok := s.cache.get(accessKeyID, sessionToken)
	if !ok {
		if x, ok = s.openSession(sessionToken); !ok {
			return nil, invalidToken(nil)
		}
		s.cache.put(x, sessionToken, s.cfg.Now())
	}
	if subtle.ConstantTimeCompare([]byte(x.AccessKeyID), []byte(accessKeyID)) != 1 {
		return nil, invalidToken(nil)
	}
	if now := s.cfg.Now(); !now.Before(x.Expiration) {
		return nil, &Error{Code: codeExpired, Message: msgExpired}
	}
	return s.sessionIdentity(x)
}

// Key is [Service.Authenticate] as package sigv4 asks for it: the secret to verify a signature with, and who signs.
func (s *Service) Key(accessKeyID, sessionToken string) (secret string, caller policy.Caller, err error) {
	id, err := s.Authenticate(accessKeyID, sessionToken)
	if err != nil {
		return "", policy.Caller{}, err
	}
	return id.secret.Reveal(), id.Caller(), nil
}

// sessionIdentity joins a session with its role as it is now.
func (s *Service) sessionIdentity(x *session) (*Identity, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.byID[x.RoleID]
	if h == nil || h.kind != "role" {
		return nil, invalidToken(nil)
	}
	if x.IssuedAt.Before(s.revokedAt(x.RoleID, x.SessionName, x.AccessKeyID)) {
		return nil, invalidToken(ErrRevoked)
	}
	return &Identity{
		Principal: policy.Principal{
			Type: policy.RoleSession, Name: s.stsARN("assumed-role/" + h.name + "/" + x.SessionName),
			Account: s.cfg.Account, IssuerARN: h.arn,
		},
		UserID: h.id + ":" + x.SessionName, AccessKeyID: x.AccessKeyID, SessionPolicy: s.sessionPolicy(x),
		SessionName: x.SessionName, SessionTags: slices.Clone(x.Tags), SourceIdentity: x.SourceIdentity,
		IssuedAt: x.IssuedAt, Expiration: x.Expiration, Tags: merged(h.tags, x.Tags),
		secret: s.keys.secretOf(x.AccessKeyID), transitive: x.Transitive,
	}, nil
}

// sessionPolicy is what the caller handed over, nil when that was nothing. Managed policies count as they are now, and
// one that was deleted allows nothing.
func (s *Service) sessionPolicy(x *session) *policy.Set {
	if x.inline == nil && len(x.PolicyARNs) == 0 {
		return nil
	}
	var policies []*policy.Policy
	if x.inline != nil {
		policies = append(policies, x.inline)
	}
	for _, arn := range x.PolicyARNs {
		if p := s.dir.Policy(arn); p != nil {
			policies = append(policies, p)
		}
	}
	return policy.NewSet(policies...)
}

func (s *Service) authenticateUser(accessKeyID, sessionToken string) (*Identity, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	key, ok := s.state.AccessKeys[accessKeyID]
	h := s.byID[key.User]
	if !ok || key.Inactive || h == nil || h.kind != "user" || sessionToken != "" {
		return nil, invalidToken(nil)
	}
	return &Identity{
		Principal: policy.Principal{Type: policy.User, Name: h.arn, Account: s.cfg.Account},
		UserID:    h.id, AccessKeyID: accessKeyID, Tags: slices.Clone(h.tags), secret: s.keys.secretOf(accessKeyID),
	}, nil
}

// identityCache remembers opened tokens, for those who sign many requests. It holds no secrets and never says that a
// token counts: that is looked up each time.
type identityCache struct {
	mu      sync.Mutex // guards entries
	entries map[string]cachedSession
}

type cachedSession struct {
	session *session
	token   [sha256.Size]byte // a digest
}

// maxCached bounds the cache: a session takes up to some ten kilobytes, and a few hundred bytes without a session policy.
const maxCached = 1024

func newIdentityCache() *identityCache { return &identityCache{entries: map[string]cachedSession{}} }

func (c *identityCache) get(accessKeyID, token string) (*session, bool) {
	sum := sha256.Sum256([]byte(token))
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[accessKeyID]
	if !ok || subtle.ConstantTimeCompare(e.token[:], sum[:]) != 1 {
		return nil, false
	}
	return e.session, true
}

func (c *identityCache) put(x *session, token string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxCached {
		maps.DeleteFunc(c.entries, func(_ string, e cachedSession) bool { return !now.Before(e.session.Expiration) })
	}
	if len(c.entries) >= maxCached {
		clear(c.entries)
	}
	c.entries[x.AccessKeyID] = cachedSession{session: x, token: sha256.Sum256([]byte(token))}
}
