package metadata

import (
	"fmt"
	"net/http"
	"slices"
)

// associationsAnswer lists the devices of a container.
type associationsAnswer struct {
	Associations []string `json:"Associations"` // null if there are none, as in ECS
}

// associationsOf returns the names of a container's devices of one type.
func associationsOf(s *Snapshot, kind, containerName string) associationsAnswer {
	var a associationsAnswer
	for _, have := range s.Associations {
		if have.Type == kind && slices.Contains(have.Containers, containerName) {
			a.Associations = append(a.Associations, have.Name)
		}
	}
	return a
}

// association returns the document of one device of the task.
func association(s *Snapshot, rt route) (int, any) {
	if rt.name == "" {
		return http.StatusBadRequest, rt.prefix() + "unable to get association name from request"
	}
	for _, have := range s.Associations {
		if have.Type == rt.kind && have.Name == rt.name {
			return http.StatusOK, have.Content
		}
	}
	return http.StatusBadRequest, fmt.Sprintf("Unable to write container association response: "+
		"unable to get association from association type %s and association name %s", rt.kind, rt.name)
}
