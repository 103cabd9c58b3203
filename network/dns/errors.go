package dns

import "errors"

// Errors of this package, matched with errors.Is. Those of a fabric are network's.
var (
	ErrInvalid = errors.New("dns: invalid") // a configuration, zone, record or host that breaks a rule

	// Why a query for the outside has no answer. They stay inside: a client gets SERVFAIL or REFUSED.
	errNoServer = errors.New("dns: no upstream server is configured")
	errBusy     = errors.New("dns: too many queries wait for upstream servers")
	errNoAnswer = errors.New("dns: no upstream server answered")
)
