//! The rules of users: by default those of Rwanda.

mod email;
mod gender;
mod names;
mod nid;
mod phone;

use rlibphonenumber::{PHONE_NUMBER_UTIL, enums};

use super::kind::{Checked, Column, Rules};

/// The region that phone numbers and national ids are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(pub [u8; 2]);

impl Region {
    pub const DEFAULT: Self = Self(*b"RW");

    /// The region of two letters, in any case; `None` where no phone numbers are known of it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        let region = Self(letters.map(|letter| letter.to_ascii_uppercase()));
        PHONE_NUMBER_UTIL.get_country_code_for_region(region.of_phones()?).map(|_| region)
    }

    /// Its two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// As the library of phone numbers has it.
    fn of_phones(self) -> Option<enums::Region> {
        enums::Region::from_code(self.as_str()).ok()
    }
}

/// Places of the columns.
pub const NAMES: usize = 0;
pub const NID: usize = 1;
pub const PHONE: usize = 2;
pub const GENDER: usize = 3;
pub const EMAIL: usize = 4;

/// The columns of users.
pub const COLUMNS: &[Column] = &[
    Column {
        field: names::FIELD,
        aliases: &[
            "Names",
            "Name",
            "Full name",
            "Full names",
            "Amazina",
            "Izina",
            "Nom",
            "Noms",
            "Nom complet",
            "Noms et prenoms",
            "Nom et prenom",
            "Customer name",
            "Customer names",
            "Client name",
            "Client names",
            "User name",
            "Person",
        ],
        required: true,
        unique: false,
        check: names::check,
    },
    Column {
        field: nid::FIELD,
        aliases: &[
            "NID",
            "NID number",
            "NID no",
            "National ID",
            "National ID number",
            "National ID no",
            "National identity",
            "National identity number",
            "National identity card",
            "ID",
            "ID number",
            "ID no",
            "ID card",
            "ID card number",
            "Identity card",
            "Identity number",
            "Carte d'identite",
            "Numero d'identite",
            "Indangamuntu",
            "Nimero y'indangamuntu",
        ],
        required: true,
        unique: true,
        check: nid::check,
    },
    Column {
        field: phone::FIELD,
        aliases: &[
            "PhoneNumber",
            "Phone",
            "Phone no",
            "Phones",
            "Mobile",
            "Mobile number",
            "Mobile no",
            "Mobile phone",
            "Mobile phone number",
            "Cell",
            "Cell phone",
            "Cellphone number",
            "Telephone",
            "Telephone number",
            "Telephone no",
            "Tel",
            "Tel no",
            "Telefone",
            "Telefoni",
            "Numero de telephone",
            "Nimero ya telefone",
            "MSISDN",
            "Contact",
            "Contact number",
        ],
        required: true,
        unique: true,
        check: phone::check,
    },
    Column {
        field: gender::FIELD,
        aliases: &["Gender", "Sex", "Sexe", "Genre", "Igitsina"],
        required: true,
        unique: false,
        check: gender::check,
    },
    Column {
        field: email::FIELD,
        aliases: &[
            "Email",
            "Emails",
            "Email address",
            "E-mail address",
            "Mail",
            "Mail address",
            "Adresse email",
            "Adresse mail",
            "Adresse e-mail",
            "Courriel",
            "Imeyili",
        ],
        required: true,
        unique: true,
        check: email::check,
    },
];

/// Checks what cells say together.
pub fn check_together(checked: &mut Checked, rules: &Rules) {
    let value = |place: usize| checked.values.get(place).and_then(Option::as_deref);
    let (Some(nid), Some(gender)) = (value(NID), value(GENDER)) else { return };
    if rules.region == Region::DEFAULT
        && nid::gender(nid).is_some_and(|of_nid| gender::differ(of_nid, gender))
    {
        gender::warn_of_nid(&mut checked.findings);
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
