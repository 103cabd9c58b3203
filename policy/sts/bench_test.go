package sts

import "testing"

func benchService(b *testing.B) (*Service, *Role) {
	b.Helper()
	s, err := Open(Config{Account: account})
	if err != nil {
		b.Fatal(err)
	}
	r, err := s.CreateRole(RoleInput{Name: "task", TrustPolicy: taskTrust, Inline: map[string]string{"read": readAll}})
	if err != nil {
		b.Fatal(err)
	}
	return s, r
}

// BenchmarkTaskCredentials is what the credentials of a new task cost.
func BenchmarkTaskCredentials(b *testing.B) {
	s, r := benchService(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.TaskCredentials(r.ARN, taskARN, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAuthenticate is what it costs to find whose a request's key is.
func BenchmarkAuthenticate(b *testing.B) {
	s, r := benchService(b)
	c, err := s.TaskCredentials(r.ARN, taskARN, 0)
	if err != nil {
		b.Fatal(err)
	}
	token := c.SessionToken.Reveal()
	for name, known := range map[string]bool{"known": true, "first": false} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !known {
					clear(s.cache.entries)
				}
				if _, err := s.Authenticate(c.AccessKeyID, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
