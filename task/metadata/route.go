package metadata

import (
	"path"
	"strings"
)

// operation is what a path asks for.
type operation uint8

const (
	_ operation = iota
	opContainer
	opTask
	opTaskWithTags
	opContainerStats
	opTaskStats
	opAssociations
	opAssociation
	opProtection
	opFault
)

// route is a path of the endpoint, taken apart.
type route struct {
	op      operation
	version int    // 4, 3, 2; 0 below /api
	id      string // endpoint ID; in version 2 the runtime ID of a container
	kind    string // of association or fault
	name    string // of the association, or what to do with the fault
}

// parseRoute takes a clean path apart; false if the endpoint has no such path. An endpoint ID can be empty, as in
// "/v4/": then it is one that nobody has.
func parseRoute(p string) (route, bool) {
	version, rest, found := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	if !found || !strings.HasPrefix(p, "/") {
		return route{}, false
	}
	switch version {
	case "v4":
		return parseEndpoint(route{version: 4}, rest)
	case "v3":
		return parseEndpoint(route{version: 3}, rest)
	case "v2":
		return parseV2(rest)
	case "api":
		return parseAPI(rest)
	}
	return route{}, false
}

// parseEndpoint takes apart what follows /v3/ and /v4/.
func parseEndpoint(r route, rest string) (route, bool) {
	id, what, more := strings.Cut(rest, "/")
	r.id = id
	if !more {
		r.op = opContainer
		return r, true
	}
	switch what {
	case "task":
		r.op = opTask
	case "taskWithTags":
		r.op = opTaskWithTags
	case "stats":
		r.op = opContainerStats
	case "task/stats":
		r.op = opTaskStats
	default:
		kind, ok := strings.CutPrefix(what, "associations/")
		if !ok {
			return route{}, false
		}
		r.op = opAssociations
		if r.kind, r.name, ok = strings.Cut(kind, "/"); ok {
			r.op = opAssociation // its name may have slashes
		}
	}
	return r, true
}

// parseV2 takes apart what follows /v2/. A container's ID may have slashes, and then is one that nobody has.
func parseV2(rest string) (route, bool) {
	what, id, _ := strings.Cut(rest, "/")
	r := route{version: 2, id: id}
	switch {
	case what == "metadata" && id == "":
		r.op = opTask
	case what == "metadata":
		r.op = opContainer
	case what == "metadataWithTags" && id == "":
		r.op = opTaskWithTags
	case what == "stats" && id == "":
		r.op = opTaskStats
	case what == "stats":
		r.op = opContainerStats
	default:
		return route{}, false
	}
	return r, true
}

// parseAPI takes apart what follows /api/.
func parseAPI(rest string) (route, bool) {
	id, what, _ := strings.Cut(rest, "/")
	r := route{id: id}
	if what == "task-protection/v1/state" {
		r.op = opProtection
		return r, true
	}
	fault, ok := strings.CutPrefix(what, "fault/v1/")
	if !ok {
		return route{}, false
	}
	r.op = opFault
	r.kind, r.name, _ = strings.Cut(fault, "/")
	switch FaultType(r.kind) {
	case FaultBlackholePort, FaultLatency, FaultPacketLoss:
	default:
		return route{}, false
	}
	switch r.name {
	case "start", "stop", "status":
		return r, true
	}
	return route{}, false
}

// methods returns the methods that a path takes; none means any, as the agent of ECS has it for all that only reads.
func (r route) methods() []string {
	switch r.op {
	case opProtection:
		return []string{"GET", "PUT"}
	case opFault:
		return []string{"POST"}
	default:
		return nil
	}
}

// cleanPath returns a path without empty, "." and ".." elements. A slash at its end stays.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}
