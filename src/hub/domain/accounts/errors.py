"""What can be wrong with an account or a sign-in."""

from hub.core.errors import FieldError, HubError


class NotSignedInError(HubError):
    """No token, or one that is unknown, ended or expired."""

    status = 401
    code = "not_signed_in"
    title = "You are not signed in"


class WrongLoginError(HubError):
    """The login or the password is wrong; which of the two is not told."""

    status = 401
    code = "wrong_login"
    title = "The login or the password is wrong"


class WrongPasswordError(HubError):
    """Somebody who is signed in gave a password that is not theirs."""

    status = 403
    code = "wrong_password"
    title = "The current password is not right"


class NotAllowedError(HubError):
    """Something that only administrators may do."""

    status = 403
    code = "not_allowed"
    title = "You may not do this"


class InsufficientScopeError(HubError):
    """Something that the token was not made for."""

    status = 403
    code = "insufficient_scope"
    title = "This token may not do this"


class AccountDisabledError(HubError):
    """The account exists but was disabled by an administrator."""

    status = 403
    code = "account_disabled"
    title = "This account is disabled"


class UsernameTakenError(HubError):
    """Somebody has this username."""

    status = 409
    code = "username_taken"
    title = "This username is taken"


class EmailTakenError(HubError):
    """Somebody registered with this address."""

    status = 409
    code = "email_taken"
    title = "This email address is registered already"


class SetupLinkInvalidError(HubError):
    """The link that creates the administrator is unknown, used or older than 30 minutes."""

    status = 403
    code = "setup_link_invalid"
    title = "This set-up link is not valid any more"


class CommonPasswordError(FieldError):
    """The password is one that attackers try first."""

    code = "common_password"
