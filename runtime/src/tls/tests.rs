use super::*;

#[test]
fn a_certificate_is_of_the_node_that_it_names_and_of_no_other() {
    let authority = TestAuthority::new().unwrap();
    let seven = authority.node(7).unwrap();
    assert_eq!(seven.check(NodeId(7)), Ok(()));
    assert_eq!(
        seven.check(NodeId(77)).unwrap_err().to_string(),
        "the TLS certificate is not node 77's: give it the DNS name node-77.synod, and no wildcard"
    );
    assert!(seven.clone().domain("example.org").check(NodeId(7)).is_err());
    assert!(seven.domain("not a name").check(NodeId(7)).is_err());
    let other = authority.named("node-7.eu.example.org").unwrap();
    assert_eq!(other.domain("eu.example.org").check(NodeId(7)), Ok(()));
}

#[test]
fn a_wildcard_is_no_node() {
    let everybody = TestAuthority::new().unwrap().named("*.db.synod").unwrap().domain("db.synod");
    assert!(everybody.check(NodeId(7)).is_err());
    let name = everybody.name(NodeId(7)).unwrap();
    let own = everybody.parts().own;
    let parsed = ParsedCertificate::try_from(&own).unwrap();
    assert!(verify_server_name(&parsed, &name).is_ok(), "it would be, as names go");
}

#[test]
fn each_mistake_is_named() {
    let authority = TestAuthority::new().unwrap();
    let (one, two) = (authority.issue("a", 4000).unwrap(), authority.issue("b", 4000).unwrap());
    let of = |ca: &str, certificate: &str, key: &str| {
        TlsConfig::from_pem(ca.as_bytes(), certificate.as_bytes(), key.as_bytes())
            .unwrap_err()
            .to_string()
    };
    let ca = authority.pem();
    assert_eq!(
        of("", &one.certificate, &one.key),
        "the TLS authority cannot be read: there is no certificate in it"
    );
    assert_eq!(
        of(ca, &one.key, &one.key),
        "the TLS certificate cannot be read: there is no certificate in it"
    );
    assert!(of(ca, &one.certificate, "").starts_with("the TLS key cannot be read: "));
    let text = of(ca, &one.certificate, &two.key);
    assert!(text.starts_with("TLS cannot be set up: "), "{text}");
    let error = TlsConfig::from_files("/nowhere", "/nowhere", "/nowhere").unwrap_err().to_string();
    assert!(error.starts_with("the TLS authority cannot be read: /nowhere: "), "{error}");
}
