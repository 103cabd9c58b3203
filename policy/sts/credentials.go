package sts

import (
	"time"
)

// Credentials are what a program signs its requests with.
type Credentials struct {
	AccessKeyID     string // ASIA and 16 characters; AKIA for the long-lived key of a user
	SecretAccessKey Secret
	SessionToken    Secret    // to be sent with each request; none for the key of a user
	Expiration      time.Time // zero for the key of a user
	IssuedAt        time.Time
	RoleARN         string // of the role that was assumed; "" for the key of a user
}

// Remaining is how long the credentials are good for, seen from now; not positive when they are not.
func (c Credentials) Remaining(now time.Time) time.Duration { return c.Expiration.Sub(now) }
