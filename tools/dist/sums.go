package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aead.dev/minisign"
	"github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/rs/zerolog"
)

// billOfMaterials lists the modules in a binary, in the CycloneDX format.
func (r *release) billOfMaterials(p platform, binary string) error {
	generator, err := bin.NewGenerator(binary, bin.WithIncludeStdlib(true),
		bin.WithVersionOverride(r.version), bin.WithLogger(zerolog.Nop()))
	if err != nil {
		return err
	}
	bom, err := generator.Generate()
	if err != nil {
		return err
	}
	bom.Metadata.Timestamp = r.date.Format(time.RFC3339)
	bom.Metadata.Properties = withoutPath(bom.Metadata.Properties)
	var text bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true)
	if err := encoder.Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(r.path(p, ".cdx.json"), text.Bytes(), 0o644)
}

// withoutPath removes properties that contain paths, which differ between building machines.
func withoutPath(properties *[]cyclonedx.Property) *[]cyclonedx.Property {
	var kept []cyclonedx.Property
	for _, property := range *properties {
		if !strings.Contains(property.Name, "path") {
			kept = append(kept, property)
		}
	}
	return &kept
}

// A signer signs the checksums; nil if no key is set.
type signer func(text []byte) []byte

// loadSigner reads the secret key of minisign from the file in SIGN_KEY, with the password in
// SIGN_PASSWORD.
func loadSigner(getenv func(string) string) (signer, error) {
	path := getenv("SIGN_KEY")
	if path == "" {
		return nil, nil
	}
	key, err := minisign.PrivateKeyFromFile(getenv("SIGN_PASSWORD"), path)
	if err != nil {
		return nil, fmt.Errorf("the key of SIGN_KEY cannot be used: %w", err)
	}
	return func(text []byte) []byte {
		return minisign.SignWithComments(key, text, "file:SHA256SUMS",
			"signature of a Stagedoor release")
	}, nil
}

// sum writes SHA256SUMS, and its signature if there is a key.
func (r *release) sum(sign signer) error {
	entries, err := os.ReadDir(r.out) // sorted
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(text), e.Name())
	}
	if err := r.write("SHA256SUMS", sums.Bytes()); err != nil {
		return err
	}
	if sign == nil {
		return nil
	}
	return r.write("SHA256SUMS.minisig", sign(sums.Bytes()))
}
