// Package mailbox is a mail server in this process that keeps what it gets, and refuses, stalls and hangs up when it is told to: for
// tests and the demo. It speaks SMTP with STARTTLS, or without any TLS.
package mailbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Mail is one that the server has taken, or at least read.
type Mail struct {
	From, To string
	Login    string // of who brought it
	TLS      bool
	Raw      []byte
	At       time.Time
}

// Steps of a mail, at which a Fault may be told.
const (
	Connect = "connect" // before the greeting
	From    = "from"
	To      = "to"
	Begin   = "begin" // DATA, before the body
	Middle  = "middle"
	End     = "end"   // all was read, nothing answered, nothing kept
	Taken   = "taken" // all is kept, nothing answered
)

// Fault is what goes wrong at a step. The zero value is nothing.
type Fault struct {
	Code  int           // of the answer, 4xx or 5xx
	Stall time.Duration // before it
	Cut   bool          // hang up in place of an answer
}

// Options of a server.
type Options struct {
	Expired  bool                               // its certificate is of yesterday
	Plain    bool                               // no TLS is offered
	Password string                             // asked for, of any user; empty: no login is offered
	Fault    func(step string, mail Mail) Fault // nil: nothing goes wrong. Called from several goroutines
}

// Server is a mail server that listens.
type Server struct {
	Addr string
	CA   []byte // PEM, of its certificate

	o    Options
	smtp *smtp.Server
	done chan struct{}

	mu    sync.Mutex
	mails []Mail
}

// Start listens on a port of this host.
func Start(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	s := &Server{Addr: listener.Addr().String(), o: o, done: make(chan struct{})}
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.session))
	s.smtp.Domain = "mailbox.example"
	s.smtp.AllowInsecureAuth = o.Plain
	s.smtp.MaxMessageBytes = 32 << 20
	s.smtp.ErrorLog = silent{}
	if !o.Plain {
		certificate, ca, err := certify(o.Expired)
		if err != nil {
			listener.Close()
			return nil, err
		}
		s.CA = ca
		s.smtp.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	go func() {
		defer close(s.done)
		_ = s.smtp.Serve(greeting{listener, s}) // Close ends it
	}()
	return s, nil
}

// Close ends it.
func (s *Server) Close() {
	_ = s.smtp.Close()
	<-s.done
}

// Mails are those that it has taken, in the order in which they came.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.mails...)
}

// Roots hold the server's certificate.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA)
	return pool
}

func (s *Server) fault(step string, m Mail) Fault {
	if s.o.Fault == nil {
		return Fault{}
	}
	f := s.o.Fault(step, m)
	time.Sleep(f.Stall)
	return f
}

// greeting may keep somebody waiting before he is greeted.
type greeting struct {
	net.Listener
	s *Server
}

// Accept waits for a connection.
func (g greeting) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		switch f := g.s.fault(Connect, Mail{}); {
		case f.Code != 0:
			fmt.Fprintf(conn, "%d not now\r\n", f.Code)
			fallthrough
		case f.Cut:
			conn.Close()
		default:
			return conn, nil
		}
	}
}

type session struct {
	s    *Server
	conn *smtp.Conn
	mail Mail
}

func (s *Server) session(c *smtp.Conn) (smtp.Session, error) {
	return &session{s: s, conn: c}, nil
}

var (
	_ smtp.Session     = (*session)(nil)
	_ smtp.AuthSession = (*session)(nil)
)

func (n *session) at(step string) error {
	f := n.s.fault(step, n.mail)
	switch {
	case f.Cut:
		n.conn.Conn().Close()
		return io.ErrClosedPipe
	case f.Code != 0:
		return &smtp.SMTPError{Code: f.Code, EnhancedCode: smtp.EnhancedCode{f.Code / 100, 0, 0}, Message: "as told, at " + step}
	}
	return nil
}

// AuthMechanisms are those that it offers.
func (n *session) AuthMechanisms() []string {
	if n.s.o.Password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth takes any user by the one password.
func (n *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != n.s.o.Password {
			return smtp.ErrAuthFailed
		}
		n.mail.Login = user
		return nil
	}), nil
}

// Mail takes a sender.
func (n *session) Mail(from string, _ *smtp.MailOptions) error {
	if n.s.o.Password != "" && n.mail.Login == "" {
		return smtp.ErrAuthRequired
	}
	_, tls := n.conn.TLSConnectionState()
	n.mail = Mail{From: from, Login: n.mail.Login, TLS: tls}
	return n.at(From)
}

// Rcpt takes a recipient: one, for a mail of ours has one.
func (n *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if n.mail.To != "" {
		return errors.New("a second recipient: " + to)
	}
	n.mail.To = to
	return n.at(To)
}

// Data takes a mail.
func (n *session) Data(r io.Reader) error {
	if err := n.at(Begin); err != nil {
		return err
	}
	first := make([]byte, 64)
	k, err := io.ReadFull(r, first)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if err := n.at(Middle); err != nil {
		return err
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	n.mail.Raw, n.mail.At = append(first[:k], rest...), time.Now()
	if err := n.at(End); err != nil {
		return err
	}
	n.s.mu.Lock()
	n.s.mails = append(n.s.mails, n.mail)
	n.s.mu.Unlock()
	return n.at(Taken)
}

// Reset forgets the mail under way.
func (n *session) Reset() { n.mail = Mail{Login: n.mail.Login} }

// Logout does nothing.
func (n *session) Logout() error { return nil }

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// certify makes a certificate for this host, of today or of yesterday.
func certify(expired bool) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("certificate: %w", err)
	}
	begins := time.Now().Add(-time.Hour)
	if expired {
		begins = begins.Add(-24 * time.Hour)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailbox"}, NotBefore: begins,
		NotAfter: begins.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
