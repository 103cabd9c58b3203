// Package sigv4 verifies requests signed with AWS Signature Version 4, as the AWS SDKs, awscli and presigned URLs send
// them, and says who made them.
//
//	verifier, err := sigv4.New(sigv4.Config{Keys: keys, Service: "vault", Region: "us-east-1"})
//	...
//	func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
//		caller, err := h.verifier.Verify(r)
//		if err != nil {
//			sigv4.Respond(w, err)
//			return
//		}
//		err = h.authorizer.Authorize(r.Context(), authz.Request{Caller: caller, Action: "vault:ReadSecret", …})
//
// # What is verified
//
// The signature covers the method, the path, the query, the signed headers and the body. Host and every X-Amz-… header
// must be signed; of the others the signer chooses, and what is not signed may have been changed on its way: believe a
// Content-Type only if it was. A session token may be unsigned, as AWS has it, since it counts only together with its key.
//
// A body whose hash is signed is read, up to Config.MaxBody, before Verify returns. A body in signed chunks (aws-chunked,
// STREAMING-AWS4-HMAC-SHA256-PAYLOAD, with or without a trailer) is verified as it is read: Read returns no byte of
// a chunk before its signature was checked, and no io.EOF before the last one, so whoever acts before io.EOF acts on a
// part. Checksums in a trailer are checked too. A body that the signature leaves out (UNSIGNED-PAYLOAD,
// STREAMING-UNSIGNED-PAYLOAD-TRAILER) is refused unless Config.UnsignedPayload says that something else protects it, such
// as TLS that ends in this process.
//
// After Verify, the request is what was signed: the body is decoded, and where a signer removed "." and ".." and empty
// parts from the path, as AWS's services but S3 have it, so they are from the request's URL.
//
// # Time and replays
//
// A signature is good for five minutes around its time, and a presigned one for as long as it says, a week at most. With
// Config.Replays a signature in a header is good once: a bounded number of them is remembered for as long as they are
// good. Two equal requests of one second have equal signatures; the SDKs put a fresh identifier in each. Presigned URLs
// are for using again.
//
// # Errors
//
// Errors are *[Error], with the codes and texts of AWS, which differ by protocol (Config.Protocol), and match one of the
// sentinels. They contain no secret, but the name of an access key.
//
// # What it is not
//
// It does not sign, does not verify SigV4A or event streams, and decides nothing: see package authz.
package sigv4
