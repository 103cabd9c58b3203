package credentials_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/fardel-io/fardel/policy/credentials"
	"github.com/fardel-io/fardel/policy/sts"
)

// oneTask is a source that knows one task.
type oneTask struct{}

func (oneTask) Task(_ context.Context, addr netip.Addr) (credentials.Task, error) {
	if addr != netip.MustParseAddr("10.0.0.5") {
		return credentials.Task{}, credentials.ErrNotFound
	}
	return credentials.Task{
		ARN:     "arn:aws:ecs:us-east-1:000000000000:task/default/4f1c",
		RoleARN: "arn:aws:iam::000000000000:role/app", CredentialsID: "0c8e",
	}, nil
}

func ExampleNewHandler() {
	service, err := sts.Open(sts.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = service.CreateRole(sts.RoleInput{Name: "app", TrustPolicy: `{"Version":"2012-10-17","Statement":{"Effect":"Allow",
		"Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`})
	if err != nil {
		fmt.Println(err)
		return
	}
	roles, err := sts.NewTaskProvider(service, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	h := credentials.NewHandler(credentials.Config{Source: oneTask{}, Issuer: roles})
	for _, addr := range []string{"10.0.0.5:41000", "10.0.0.6:41000"} {
		r := httptest.NewRequest(http.MethodGet, "/v2/credentials/0c8e", nil)
		r.RemoteAddr = addr
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(addr, w.Code)
	}
	// Output:
	// 10.0.0.5:41000 200
	// 10.0.0.6:41000 400
}
