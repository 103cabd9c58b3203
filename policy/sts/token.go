package sts

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"io"
	"time"

	"github.com/fardel-io/fardel/policy"
)

// claims are what a session token says.
type claims struct {
	AccessKeyID    string    `json:"k"`
	RoleID         string    `json:"r"`
	SessionName    string    `json:"n"`
	IssuedAt       time.Time `json:"i"`
	Expiration     time.Time `json:"e"`
	SourceIdentity string    `json:"s,omitempty"`

	// Packed is what the caller handed over, deflated; see handover.
	Packed []byte `json:"h,omitempty"`
}

// handover is what a caller of AssumeRole gives to the session: what has a limit of its own, when packed.
type handover struct {
	Policy     string   `json:"p,omitempty"`
	PolicyARNs []string `json:"a,omitempty"`
	Tags       []Tag    `json:"t,omitempty"`
	Transitive []string `json:"x,omitempty"`
}

func (h *handover) empty() bool {
	return h.Policy == "" && len(h.PolicyARNs) == 0 && len(h.Tags) == 0
}

// maxPacked is how many bytes a handover may take when packed. AWS tells no figure, only the percentage.
const maxPacked = 2048

// maxUnpacked bounds what unpacking makes of a token: fifty tags of the longest kind in four-byte characters, a policy
// and ten ARNs are less.
const maxUnpacked = 1 << 20

// pack returns the packed form of a handover, and how much of the space it takes in percent, rounded up.
func (h *handover) pack() (packed []byte, percent int, err error) {
	if h.empty() {
		return nil, 0, nil
	}
	plain, err := json.Marshal(h)
	if err != nil {
		return nil, 0, err
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, 0, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, 0, err
	}
	if err := w.Close(); err != nil {
		return nil, 0, err
	}
	return b.Bytes(), (b.Len()*100 + maxPacked - 1) / maxPacked, nil
}

func unpack(packed []byte) (*handover, error) {
	h := &handover{}
	if len(packed) == 0 {
		return h, nil
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxUnpacked))
	if err != nil {
		return nil, err
	}
	return h, json.Unmarshal(plain, h)
}

// session is an opened token.
type session struct {
	claims
	handover
	inline *policy.Policy // nil when the handover has none
}

func (s *Service) sealClaims(c *claims) (Secret, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return Secret{}, err
	}
	return s.keys.sealToken(plain), nil
}

// openSession reads a token. It reports false for any that this service did not make.
func (s *Service) openSession(token string) (*session, bool) {
	plain, ok := s.keys.openToken(token)
	if !ok {
		return nil, false
	}
	x := &session{}
	if err := json.Unmarshal(plain, &x.claims); err != nil {
		return nil, false
	}
	h, err := unpack(x.Packed)
	if err != nil {
		return nil, false
	}
	x.handover, x.Packed = *h, nil
	if h.Policy != "" {
		if x.inline, err = parseSessionPolicy(h.Policy); err != nil {
			return nil, false
		}
	}
	return x, true
}

func parseSessionPolicy(document string) (*policy.Policy, error) {
	return policy.Parse([]byte(document), policy.Options{Kind: policy.Session, Name: "session policy"})
}
