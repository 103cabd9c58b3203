package main

import (
	"fmt"
	"net/http"

	"github.com/fardel-io/fardel/policy/authz"
	"github.com/fardel-io/fardel/policy/sigv4"
)

// vault serves secrets to whoever signs for them and may read them.
type vault struct {
	verifier *sigv4.Verifier
	auth     *authz.Authorizer
	secrets  map[string]string
}

// newVault returns a vault of two secrets. keys knows who may sign.
func newVault(keys sigv4.Keys, auth *authz.Authorizer) (http.Handler, error) {
	verifier, err := sigv4.New(sigv4.Config{Keys: keys, Service: "vault", Region: region, Protocol: sigv4.JSON, Replays: 1000})
	if err != nil {
		return nil, err
	}
	v := &vault{verifier: verifier, auth: auth, secrets: map[string]string{"database": "correct horse", "payroll": "battery staple"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /secret/{name}", v.get)
	return mux, nil
}

func (v *vault) get(w http.ResponseWriter, r *http.Request) {
	caller, err := v.verifier.Verify(r)
	if err != nil {
		sigv4.Respond(w, err)
		return
	}
	name := r.PathValue("name")
	err = v.auth.Authorize(r.Context(), authz.Request{
		Caller: caller, Action: "vault:GetSecretValue", Resource: fmt.Sprintf("arn:aws:vault:%s:%s:secret/%s", region, account, name),
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	secret, ok := v.secrets[name] // who may not read it does not learn whether it is there
	if !ok {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintln(w, secret)
}
