package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNotFound is matched when there is no such secret, version or object.
var ErrNotFound = errors.New("secrets: not found")

// Provider stands for Secrets Manager and the SSM parameter store. It may be called at the same time for several secrets.
type Provider interface {
	// Secret returns the whole value of a secret or parameter, of the version that r names; which member of it was asked
	// for is not its concern. [ErrNotFound] if there is none.
	Secret(ctx context.Context, r Reference) (string, error)
}

// Value returns what a reference names: the secret, or one member of its JSON.
func Value(ctx context.Context, p Provider, r Reference) (string, error) {
	secret, err := p.Secret(ctx, r)
	if err != nil || r.JSONKey == "" {
		return secret, err
	}
	members := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(secret), &members) != nil { // its text may quote the secret
		return "", errors.New("the secret is not a JSON object, and a JSON key was asked for")
	}
	raw, ok := members[r.JSONKey]
	if !ok {
		return "", fmt.Errorf("retrieved secret from Secrets Manager did not contain json key %s", r.JSONKey)
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	return string(raw), nil
}

// Login returns the user name and password that a secret for a private registry holds, as {"username": …, "password": …}.
func Login(ctx context.Context, p Provider, r Reference) (username, password string, err error) {
	secret, err := p.Secret(ctx, r)
	if err != nil {
		return "", "", err
	}
	var login struct{ Username, Password string }
	if json.Unmarshal([]byte(secret), &login) != nil || login.Username == "" {
		return "", "", errors.New(`the secret is not {"username": …, "password": …}`)
	}
	return login.Username, login.Password, nil
}
