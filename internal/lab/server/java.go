package server

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unicode/utf16"
)

var javaPackages = packages{
	name: "java-17", suite: "bookworm",
	names: []string{"openjdk-17-jre-headless", "maven"},
}

// java is how Java and Maven are called.
type java struct {
	java, maven string
	env         []string // of both
	version     string
}

func (l *Lab) java(ctx context.Context) (java, error) {
	path, version := l.installed(ctx, javaProgram)
	maven, _ := l.installed(ctx, mavenProgram)
	if path != "" && maven != "" {
		return java{java: path, maven: maven, version: version}, nil
	}
	root, err := l.unpack(ctx, javaPackages)
	if err != nil {
		return java{}, err
	}
	homes, err := filepath.Glob(filepath.Join(root, "usr/lib/jvm/java-17-openjdk-*"))
	if err != nil || len(homes) == 0 {
		return java{}, errors.Join(fmt.Errorf("no Java in %s", root), err)
	}
	libraries, err := libraryPath(root)
	if err != nil {
		return java{}, err
	}
	trust := filepath.Join(l.cache, "truststore.jks")
	if err := l.writeTruststore(trust); err != nil {
		return java{}, fmt.Errorf("write Java's truststore: %w", err)
	}
	j := java{java: filepath.Join(homes[0], "bin/java"), maven: filepath.Join(root, "usr/share/maven/bin/mvn")}
	j.env = []string{
		"JAVA_HOME=" + homes[0], "LD_LIBRARY_PATH=" + libraries,
		"MAVEN_OPTS=-Djavax.net.ssl.trustStore=" + trust + " -Djavax.net.ssl.trustStorePassword=" + trustPassword,
	}
	if j.version = l.versionOf(ctx, javaProgram, j.env, j.java); j.version == "" {
		return java{}, fmt.Errorf("the Java unpacked in %s does not run", root)
	}
	return j, nil
}

// systemRoots is the host's bundle of certificates, of Debian's package ca-certificates.
const systemRoots = "/etc/ssl/certs/ca-certificates.crt"

// trustPassword is no secret: it only seals the file against accidents, and has to be there.
const trustPassword = "changeit"

// writeTruststore writes the host's certificates in the form that Java reads (JKS): an
// unpacked Java has none of its own, and Debian makes them at installation.
func (l *Lab) writeTruststore(path string) error {
	bundle, err := os.ReadFile(systemRoots)
	if err != nil {
		return err
	}
	var certificates [][]byte
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		certificates = append(certificates, block.Bytes)
	}
	part := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(part, encodeJKS(certificates, time.Now()), 0o644); err != nil {
		return err
	}
	return errors.Join(os.Rename(part, path), l.user.Give(path))
}

// encodeJKS is Java's own format of a keystore that holds trusted certificates only.
func encodeJKS(certificates [][]byte, now time.Time) []byte {
	var b bytes.Buffer
	number := func(v any) { _ = binary.Write(&b, binary.BigEndian, v) } // a Buffer never fails
	text := func(s string) {
		number(uint16(len(s)))
		b.WriteString(s)
	}
	number(uint32(0xFEEDFEED))
	number(uint32(2))
	number(uint32(len(certificates)))
	for i, certificate := range certificates {
		number(uint32(2)) // a trusted certificate
		text(fmt.Sprintf("root-%d", i))
		number(now.UnixMilli())
		text("X.509")
		number(uint32(len(certificate)))
		b.Write(certificate)
	}
	digest := sha1.New()
	for _, unit := range utf16.Encode([]rune(trustPassword)) {
		digest.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	digest.Write([]byte("Mighty Aphrodite")) // part of the format
	digest.Write(b.Bytes())
	return digest.Sum(b.Bytes())
}
