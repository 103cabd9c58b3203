package metadata

import (
	"encoding/json"
	"net/http"
)

// maxBody is how many bytes of a request are read: requests have a few members and, in faults, lists of addresses.
const maxBody = 64 << 10

// answer writes a value as JSON.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, code int, v any) {
	data, err := json.Marshal(v)
	if err != nil { // content of an association that is no JSON
		h.cfg.Logger.ErrorContext(r.Context(), "answer is not JSON", "path", r.URL.Path, "error", err)
		code, data = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(data); err != nil {
		h.cfg.Logger.DebugContext(r.Context(), "caller went away", "path", r.URL.Path, "error", err)
	}
}
