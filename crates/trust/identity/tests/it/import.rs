//! Secret keys that other programs made: `ssh-keygen` and `openssl`.

use allod_identity::{ImportError, SecretKey};
use multibase::Base;
use proptest::prelude::*;

use crate::{cases, hex, key, unhex};

/// `ssh-keygen -t ed25519`.
const SSH: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----\n\
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
QyNTUxOQAAACDjJRBJ08YxTsdqld2bvTOqipIBQH8/MJ2oTo6MOcyeXwAAAIjTubQF07m0\n\
BQAAAAtzc2gtZWQyNTUxOQAAACDjJRBJ08YxTsdqld2bvTOqipIBQH8/MJ2oTo6MOcyeXw\n\
AAAECAlOyP/r47lXyUeDlE2vXhGXIaPyKeM0gdI4YYHp6Li+MlEEnTxjFOx2qV3Zu9M6qK\n\
kgFAfz8wnahOjow5zJ5fAAAAA2FAYgEC\n\
-----END OPENSSH PRIVATE KEY-----\n";

/// `ssh-keygen -t ed25519`, with a passphrase.
const SSH_SEALED: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----\n\
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAiZWKhAX\n\
WBpPMbc80N3lU9AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIP7ROqE8dDAw+yMG\n\
+otCyCERo/oX/xKwikP2Qbqh8J2/AAAAkN2H3fDJv61rBLz7htFLo3vPDpFnG7JKOydmcd\n\
C+4mwcs6v0sGsOEIXyBXJI/yLlJReC4o1UeysfLEbdjdtV6NiGECXL27XdvIEpBJN4RXah\n\
7awyrM578o2Iy3z8B8DLMKYqkRn6VCWaSFmofCpOQPtt5OsnNXF8bf9PDTQ/tiu5e5S+MO\n\
DdoTfvi+npYthfZA==\n\
-----END OPENSSH PRIVATE KEY-----\n";

/// `ssh-keygen -t ecdsa`.
const SSH_ECDSA: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----\n\
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n\
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQTKLwzmP43ICyLBoSmEKBCnwHM2wK/c\n\
5mDWVG8KMbkWldWYSHuHUO9SuBnkhZIZGWdaJtYSmKAuQ8cyCSu9pEihAAAAoOsBXaLrAV\n\
2iAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMovDOY/jcgLIsGh\n\
KYQoEKfAczbAr9zmYNZUbwoxuRaV1ZhIe4dQ71K4GeSFkhkZZ1om1hKYoC5DxzIJK72kSK\n\
EAAAAgNyJuLIDWldOUzE22zzNIu16/Jo1/tEgh0Fey6WHvvUwAAAABeAECAwQFBgc=\n\
-----END OPENSSH PRIVATE KEY-----\n";

/// `openssl genpkey -algorithm ed25519`.
const PKCS8: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEIFNq46XtThZfiw8N1DTMYF2cW0itHkquUu9SUoOJtGj/\n\
-----END PRIVATE KEY-----\n";

/// `openssl pkcs8 -topk8` of that, with a passphrase.
const PKCS8_SEALED: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----\n\
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjhOpLDJ906tgICCAAw\n\
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKNOwDExOVkSJjehrM3txLMEQBMW\n\
v+LRHA6hT6Kqc8F4NHl13YwWgk6tx+Qxul/MFSjpeUVGFl/XbmmyyLBR0F3o9Hgs\n\
WayUTomZ65D7V1tanXk=\n\
-----END ENCRYPTED PRIVATE KEY-----\n";

/// `openssl genpkey -algorithm X25519`.
const PKCS8_X25519: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VuBCIEICjWyb7YoI32GF0C4TOT0cvYXcm2seT1OXKGHytwr5Vi\n\
-----END PRIVATE KEY-----\n";

/// `openssl genpkey -algorithm EC`.
const PKCS8_EC: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+dUZ/iqvw/N3UkCg\n\
CC6HL0sOLeSfbAU1zsV/TR0S8auhRANCAAS6Q4ms4RUXujsuLvc4Ldm/zedGi0y8\n\
eq1dpcQrjCoFBzeTw9cJsIiyVsulF3TH2jWddOD+yqFr0KFDjSgDDmBh\n\
-----END PRIVATE KEY-----\n";

/// `openssl ec`.
const SEC1: &str = "\
-----BEGIN EC PRIVATE KEY-----\n\
MHcCAQEEIPnVGf4qr8Pzd1JAoAguhy9LDi3kn2wFNc7Ff00dEvGroAoGCCqGSM49\n\
AwEHoUQDQgAEukOJrOEVF7o7Li73OC3Zv83nRotMvHqtXaXEK4wqBQc3k8PXCbCI\n\
slbLpRd0x9o1nXTg/sqha9ChQ40oAw5gYQ==\n\
-----END EC PRIVATE KEY-----\n";

/// The seed and the public key of [`PKCS8`], as `openssl pkey` tells them.
const SEED: &str = "536ae3a5ed4e165f8b0f0dd434cc605d9c5b48ad1e4aae52ef52528389b468ff";
const PUBLIC: &str = "aa74d79c007c75c3cc3fa14d66b91c5c4e10846b79a4c8e67db3a35e2834a17e";

/// The public key of [`SSH`], from the file beside it.
const SSH_PUBLIC: &str = "e3251049d3c6314ec76a95dd9bbd33aa8a9201407f3f309da84e8e8c39cc9e5f";

/// [`PKCS8_SEALED`] of another passphrase, as DER.
const SEALED_DER: &str = "\
    30819b305706092a864886f70d01050d304a302906092a864886f70d01050c301c0408a3eb333a8ab82ca002020800300c06\
    082a864886f70d02090500301d060960864801650304012a0410b9ca39d7e36e60be5a2e4228c7eed5d30440e6bb9145606a\
    524db4879df92d36568da012990b6aee73636faab94efb854e62c886f68c1290d58c82ae34b46f9fbbd9193464a257047bf9c02da12b75bd0544";

fn import(file: impl AsRef<[u8]>) -> Result<String, ImportError> {
    SecretKey::import(file.as_ref()).map(|key| hex(key.public().as_bytes()))
}

/// A key in PKCS#8 version 2, which has the public half as well.
fn version_2(public: &str) -> Vec<u8> {
    unhex(&format!(
        "3051020101300506032b657004220420{SEED}812100{public}"
    ))
}

#[test]
fn what_other_programs_made_is_read() {
    let public = Ok(PUBLIC.to_owned());
    assert_eq!(import(SSH), Ok(SSH_PUBLIC.to_owned()));
    assert_eq!(import(SSH.trim_end()), Ok(SSH_PUBLIC.to_owned()));
    assert_eq!(import(PKCS8), public);
    let der = unhex(&format!("302e020100300506032b657004220420{SEED}"));
    assert_eq!(import(&der), public);
    assert_eq!(import(version_2(PUBLIC)), public);
    let seed = unhex(SEED);
    assert_eq!(import(&seed), public);
    for text in [
        SEED.to_owned(),
        SEED.to_uppercase(),
        format!("  {SEED}\r\n"),
    ] {
        assert_eq!(import(text), public);
    }
    for base in [
        Base::Base64,
        Base::Base64Pad,
        Base::Base64Url,
        Base::Base64UrlPad,
    ] {
        assert_eq!(import(base.encode(&seed)), public, "{base:?}");
        assert_eq!(import(format!("{}\n", base.encode(&seed))), public);
    }
}

/// DID-11: each reason is told, as each calls for something else.
#[test]
fn what_cannot_be_read_says_why() {
    for sealed in [SSH_SEALED, PKCS8_SEALED] {
        assert_eq!(import(sealed), Err(ImportError::Sealed));
    }
    assert_eq!(import(unhex(SEALED_DER)), Err(ImportError::Sealed));
    for foreign in [SSH_ECDSA, PKCS8_X25519, PKCS8_EC, SEC1] {
        assert_eq!(import(foreign), Err(ImportError::Foreign));
    }
    let other = hex(key(1).public().as_bytes());
    assert_eq!(import(version_2(&other)), Err(ImportError::Halves));
    assert_eq!(import(ssh_of(1)), Err(ImportError::Halves));
    assert_eq!(import(ssh_of(0)), Ok(SSH_PUBLIC.to_owned()));
    let files = [
        "",
        "a secret",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
        &SEED[1..],
        &SSH[..300],
        &PKCS8[..60],
    ];
    for file in files {
        assert_eq!(import(file), Err(ImportError::File), "{file}");
    }
    assert_eq!(import(vec![b'0'; 16 * 1024 + 1]), Err(ImportError::File));
    assert_eq!(import([0; 33]), Err(ImportError::File));
    assert_eq!(ImportError::Sealed.code(), "E_KEY_SEALED");
}

/// [`SSH`] with a seed of which one byte is another.
fn ssh_of(change: u8) -> String {
    let (head, rest) = SSH.split_once('\n').expect("a head");
    let (content, tail) = rest.split_once("-----END").expect("a tail");
    let mut bytes = Base::Base64Pad
        .decode(content.replace('\n', ""))
        .expect("base64");
    // The two halves stand after each other at the end, before a comment and padding.
    let public = unhex(SSH_PUBLIC);
    let at = (0..bytes.len())
        .rev()
        .find(|at| bytes[*at..].starts_with(&public));
    let seed = at.expect("the public half") - 32;
    bytes[seed] ^= change;
    let content = Base::Base64Pad.encode(bytes);
    let mut lines = String::new();
    for (at, letter) in content.chars().enumerate() {
        if at > 0 && at % 70 == 0 {
            lines.push('\n');
        }
        lines.push(letter);
    }
    format!("{head}\n{lines}\n-----END{tail}")
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn any_file_is_read_without_a_panic(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
        SecretKey::import(&bytes).ok();
        for file in [SSH, SSH_SEALED, PKCS8, PKCS8_SEALED, PKCS8_EC] {
            let mut changed = file.as_bytes().to_vec();
            let at = at.index(changed.len());
            changed[at] = byte;
            SecretKey::import(&changed).ok();
            SecretKey::import(&changed[..at]).ok();
        }
    }

    #[test]
    fn a_seed_is_a_seed(seed: [u8; 32]) {
        let public = SecretKey::from_seed(seed).public();
        prop_assert_eq!(SecretKey::import(&seed).map(|key| key.public()), Ok(public));
        let text = hex(&seed);
        prop_assert_eq!(SecretKey::import(text.as_bytes()).map(|key| key.public()), Ok(public));
    }
}
