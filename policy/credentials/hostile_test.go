package credentials

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fardel-io/fardel/internal/hostiletest"
)

// TestHostileCredentials has each task, and callers that are none, ask for the credentials of each other one by its ID, and
// by what an ID could be taken for.
func TestHostileCredentials(t *testing.T) {
	ids := []string{"id-alice", "id-bob", "id-carol", "id-gone", "", "%", "*", "id-%", "ID-ALICE", "id-alice\x00", "id-alice/", "../id-alice", " id-alice"}
	callers := map[string]string{"10.0.0.1:7": "id-alice", "10.0.0.2:7": "id-bob", "10.0.0.3:7": "", "10.0.0.4:7": "", "10.0.0.5:7": "", "10.0.0.9:7": "",
		"[fd00::1]:7": "id-alice", "[::ffff:10.0.0.2]:7": "id-bob", "[fe80::1%eth0]:7": "", "10.0.0.1": "", "@": "", "": ""}
	f := newFixture(t)
	for caller, own := range callers {
		var got []string
		for _, id := range ids {
			for _, path := range []string{"/v2/credentials/" + id, "/v1/credentials?id=" + id} {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.URL.Path, r.URL.RawQuery, _ = strings.Cut(path, "?")
				r.RemoteAddr = caller
				r.Header.Set("X-Forwarded-For", "10.0.0.1")
				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)
				given := strings.Contains(w.Body.String(), "SecretAccessKey")
				if id == own && own != "" {
					if !given && w.Code != http.StatusTooManyRequests {
						t.Errorf("%s does not get its own: %d %s", caller, w.Code, w.Body)
					}
					continue
				}
				if given {
					got = append(got, path)
				}
			}
		}
		hostiletest.Report(t, fmt.Sprintf("%q asks for the credentials of others", caller), len(got) > 0, fmt.Sprintf("by %d paths, got %q", 2*len(ids), got))
	}
	if strings.Contains(f.log.String(), "SecretAccessKey") {
		hostiletest.Report(t, "a secret is logged", true, f.log.String())
	}
}
