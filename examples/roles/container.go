package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

// inContainer is what this program does inside the task: it asks for secrets and prints what it gets.
func inContainer(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: roles [-dir DIR]")
	}
	cfg, err := config.LoadDefaultConfig(ctx) // finds the credentials of the task's role
	if err != nil {
		return err
	}
	for _, name := range args[1:] {
		status, body, err := secret(ctx, cfg.Credentials, args[0], name)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d %s", name, status, body)
	}
	return nil
}

// secret asks the vault, with a signed request.
func secret(ctx context.Context, credentials aws.CredentialsProvider, vault, name string) (status int, body string, err error) {
	creds, err := credentials.Retrieve(ctx)
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, vault+"/secret/"+name, nil)
	if err != nil {
		return 0, "", err
	}
	nothing := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(nothing[:]), "vault", region, time.Now()); err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}
