package metadata

import (
	"errors"
	"fmt"
	"net/http"
)

// serveMetadata answers all that only reads.
func (h *handler) serveMetadata(w http.ResponseWriter, r *http.Request, rt route) {
	code, v := h.read(r, rt)
	h.answer(w, r, code, v)
}

// read returns the answer to a route that only reads, a string where it is an error.
func (h *handler) read(r *http.Request, rt route) (int, any) {
	s, name, err := h.resolve(r, rt)
	switch {
	case errors.Is(err, ErrNotFound):
		return rt.unknown(r, s)
	case err != nil:
		return http.StatusInternalServerError, rt.broken()
	}
	switch rt.op {
	case opContainer:
		return http.StatusOK, h.containerAnswer(s, name, rt.version)
	case opTask:
		return http.StatusOK, h.taskAnswer(s, rt.version, false)
	case opTaskWithTags:
		return http.StatusOK, h.taskAnswer(s, rt.version, true)
	case opContainerStats:
		return h.containerStats(r, s, name, rt)
	case opTaskStats:
		return http.StatusOK, h.taskStats(r, s, rt.version)
	case opAssociations:
		return http.StatusOK, associationsOf(s, rt.kind, name)
	default:
		return association(s, rt)
	}
}

// resolve returns the task that asks and, for operations on a container, its name. With [ErrNotFound] the snapshot
// tells whether it was the container: then there is one.
func (h *handler) resolve(r *http.Request, rt route) (*Snapshot, string, error) {
	if rt.version == 2 {
		s, err := h.caller(r)
		if err != nil || rt.id == "" {
			return s, "", err
		}
		if name := s.byRuntimeID(rt.id); name != "" {
			return s, name, nil
		}
		return s, "", ErrNotFound
	}
	s, name, err := h.endpoint(r, rt.id)
	if err != nil {
		return nil, "", err
	}
	switch rt.op {
	case opContainer, opContainerStats, opAssociations:
		if _, record := s.container(name); record.RuntimeID == "" {
			return s, "", ErrNotFound // it has not been created
		}
	default:
	}
	return s, name, nil
}

// unknown is the answer to an ID that nobody has: s is nil if no task has it, else no container has.
func (rt route) unknown(r *http.Request, s *Snapshot) (int, string) {
	if rt.version == 2 {
		return http.StatusBadRequest, rt.unknownV2(r, s)
	}
	code := http.StatusNotFound
	switch {
	case rt.op == opAssociations || rt.op == opAssociation:
		code = http.StatusBadRequest
	case rt.version == 3 && (rt.op == opContainerStats || rt.op == opTaskStats):
		code = http.StatusBadRequest
	case rt.version == 3:
		code = http.StatusInternalServerError
	}
	reason := noTask(rt.id)
	switch {
	case rt.op == opAssociations:
		reason = "unable to get container id from request: unable to get docker ID from v3 endpoint ID: " + rt.id
	case rt.op == opContainer, s != nil:
		reason = "unable to get container ID from request: unable to get docker ID from v3 endpoint ID: " + rt.id
	}
	return code, rt.prefix() + reason
}

// noTask says that no task of the caller has an endpoint ID.
func noTask(id string) string {
	return "unable to get task arn from request: unable to get task Arn from v3 endpoint ID: " + id
}

// prefix is how the errors of an operation begin in versions 3 and 4.
func (rt route) prefix() string {
	what := map[operation]string{
		opContainer: "container metadata", opTask: "task metadata", opTaskWithTags: "task metadata",
		opContainerStats: "container stats", opTaskStats: "task stats",
		opAssociations: "container associations", opAssociation: "container associations",
	}[rt.op]
	return fmt.Sprintf("V%d %s handler: ", rt.version, what)
}

// unknownV2 is the answer of version 2 to an address or a container ID that nobody has.
func (rt route) unknownV2(r *http.Request, s *Snapshot) string {
	addr := callerAddr(r)
	switch {
	case s != nil && rt.op == opContainer:
		return "Unable to generate metadata for container '" + rt.id + "'"
	case s != nil:
		return "Unable to get container stats for: " + rt.id
	case addr.IsValid():
		return fmt.Sprintf("Unable to get task arn from request: unable to associate '%s' with task", addr)
	}
	return "Unable to get task arn from request: unable to parse request's ip address: " + r.RemoteAddr
}

// broken is the answer when the source failed. What failed is logged, and not the task's business.
func (rt route) broken() string {
	switch rt.op {
	case opContainer:
		return "failed to get container metadata"
	case opContainerStats, opTaskStats:
		return "failed to get stats"
	default:
		return "failed to get task metadata"
	}
}
