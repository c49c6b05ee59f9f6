package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"airfield/internal/redis/redistest"
)

// identity is a certificate for 127.0.0.1 that signs itself, and its key; one a process, as the trusted ones are read once.
var identity = sync.OnceValues(func() (files map[string][]byte, err error) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(secret)
	return map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	}, err
})

// certificate writes the identity where another user, the server, can read it.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	files, err := identity()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "airfield-tls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// freePort is one on which nobody listens now, and which the system gives to nobody who asks for any.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + mathrand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port between 20000 and 30000 is free")
	return ""
}

func TestTLSWithACertificateThatIsTrustedAndForTheHost(t *testing.T) {
	cert, key := certificate(t)
	t.Setenv("SSL_CERT_FILE", cert) // read once a process: no other test here uses TLS
	port := freePort(t)
	server := redistest.Start(t, "--bind", "127.0.0.1", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	config := server.Config()
	config.URL = "rediss://127.0.0.1:" + port
	c := redistest.Open(t, config)
	if err := c.Set(t.Context(), "a", []byte("1"), time.Minute); err != nil {
		t.Fatal(err)
	}
	config.URL = "rediss://localhost:" + port
	if _, reason, is := redistest.Open(t, config).Away(); !is || !strings.Contains(reason, "certificate") {
		t.Fatal("a certificate for another host was taken", reason)
	}
	config.URL = "redis://127.0.0.1:" + port
	config.Timeout = 200 * time.Millisecond
	if !away(redistest.Open(t, config)) {
		t.Fatal("spoke without TLS")
	}
}
