// moderate [-ca FILE] [-cert FILE -key FILE] [-server-name NAME] TARGET PICTURE...: prints the
// action and the reason for each picture. MODERATION_API_KEY says who asks, if it is set.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	pb "moderation/v1"
)

func main() {
	log.SetFlags(0)
	ca := flag.String("ca", "", "certificate of the server's authority, PEM")
	cert := flag.String("cert", "", "certificate to show, PEM")
	key := flag.String("key", "", "its key, PEM")
	name := flag.String("server-name", "", "in the server's certificate, if not the target's")
	flag.Parse()
	if flag.NArg() < 2 {
		log.Println("usage: moderate [-ca FILE] [-cert FILE -key FILE] TARGET PICTURE...")
		os.Exit(64)
	}
	options := Options{APIKey: os.Getenv("MODERATION_API_KEY")}
	if flag.NFlag() > 0 {
		options.TLS = tlsOf(*ca, *cert, *key, *name)
	}
	client, err := Open(flag.Arg(0), options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, picture := range flag.Args()[1:] {
		image, err := os.ReadFile(picture)
		if err != nil {
			log.Fatal(err)
		}
		decision, err := client.Moderate(context.Background(), image, filepath.Base(picture))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s (%s)\n", picture, decision.Action, reasonOf(decision))
	}
}

func reasonOf(decision *pb.Decision) string {
	switch {
	case decision.Failure != nil:
		return decision.Failure.Message
	case decision.DecidingPolicyId != "":
		return decision.DecidingPolicyId
	}
	return "no policy"
}

func tlsOf(ca, cert, key, name string) *tls.Config {
	config := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			log.Fatal(err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			log.Fatalf("%s holds no certificate", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			log.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
