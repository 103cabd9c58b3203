package sts

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
)

// keyring makes and checks keys. Everything comes from one root key, which is all that has to be kept.
type keyring struct {
	root   []byte
	seal   cipher.AEAD
	secret []byte // secret access keys are derived with it
	names  []byte // unique IDs are derived with it
}

// rootSize is the size of the root key in bytes.
const rootSize = 32

func newKeyring(root []byte) (*keyring, error) {
	if len(root) != rootSize {
		return nil, fmt.Errorf("the key has %d bytes, want %d", len(root), rootSize)
	}
	var parts [3][]byte
	for i, use := range []string{"fardel sts session tokens", "fardel sts secret access keys", "fardel sts unique ids"} {
		part, err := hkdf.Key(sha256.New, root, nil, use, rootSize)
		if err != nil {
			return nil, err
		}
		parts[i] = part
	}
	block, err := aes.NewCipher(parts[0])
	if err != nil {
		return nil, err
	}
	k := &keyring{root: root, secret: parts[1], names: parts[2]}
	k.seal, err = cipher.NewGCMWithRandomNonce(block)
	return k, err
}

// Format hides the keys, whatever the verb.
func (k *keyring) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

func mac(key []byte, texts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, t := range texts {
		h.Write([]byte{byte(len(t) >> 8), byte(len(t))})
		h.Write([]byte(t))
	}
	return h.Sum(nil)
}

// secretOf is the secret access key of an access key: 40 characters, as AWS's.
func (k *keyring) secretOf(accessKeyID string) Secret {
	return NewSecret(base64.StdEncoding.EncodeToString(mac(k.secret, accessKeyID)[:30]))
}

// uniqueID is an ID in the form of IAM's: four letters that say of what, and 17 characters. It depends on the ARN, so that
// sessions of a role outlive the program that has to create the role again.
func (k *keyring) uniqueID(prefix, arn string) string {
	return prefix + base32.StdEncoding.EncodeToString(mac(k.names, arn))[:17]
}

// newAccessKeyID returns an ID that nobody has: 80 random bits.
func newAccessKeyID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: the program would be ended
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}

// tokenText is how tokens are written: AWS's are standard base64, too.
var tokenText = base64.StdEncoding.Strict()

// sealToken encrypts and authenticates a session.
func (k *keyring) sealToken(plain []byte) Secret {
	sealed := k.seal.Seal([]byte{tokenVersion}, nil, plain, []byte{tokenVersion})
	return NewSecret(tokenText.EncodeToString(sealed))
}

// openToken is the way back. It reports whether the token was made with this keyring.
func (k *keyring) openToken(token string) (plain []byte, ok bool) {
	sealed, err := tokenText.DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") || // the decoder skips those
		len(sealed) < 1 || sealed[0] != tokenVersion {
		return nil, false
	}
	plain, err = k.seal.Open(nil, nil, sealed[1:], sealed[:1])
	return plain, err == nil
}

// tokenVersion is the first byte of a token.
const tokenVersion = 1
