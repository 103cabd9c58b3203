// Package audit records decisions: who asked for what, what was decided, and which statement of which policy decided it.
// A [Record] has the shape of CloudTrail's events, so that what reads those reads these.
//
//	trail, err := audit.OpenFile(audit.FileConfig{Path: filepath.Join(dir, "audit.jsonl")})
//	if err != nil {
//		return err
//	}
//	defer trail.Close()
//	auth, err := authz.New(authz.Config{Directory: directory, Audit: trail})
//
// A [Sink] is where records go. [File] is one: JSON lines, rotated, written behind the back of those who decide. What it
// cannot keep up with it drops, counts, and says in the trail itself.
//
// # What is in a record
//
// The fields of CloudTrail that a decision knows. requestParameters are the condition keys that were decided by, all of
// them: with them a request can be decided again, by other policies ([Record.Request], [policy.Simulate]), as far as
// the caller's session was handed no policies. A decision allows or denies; what became of the action afterwards is not
// in its record. Of credentials there is the access key's ID, never a secret or token.
package audit
