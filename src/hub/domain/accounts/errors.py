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


class RegistrationClosedError(HubError):
    """Nobody registers here."""

    status = 403
    code = "registration_closed"
    title = "Registration is closed"


class InviteRequiredError(HubError):
    """Nobody registers here without an invite."""

    status = 403
    code = "invite_required"
    title = "An invite is required"


class InviteInvalidError(HubError):
    """The invite is unknown, used or too old."""

    status = 403
    code = "invite_invalid"
    title = "This invite is not valid"


class TooManyTokensError(HubError):
    """The user has as many tokens as one may have."""

    status = 409
    code = "too_many_tokens"
    title = "You have too many tokens"


class LastAdministratorError(HubError):
    """Without this one nobody could look after the server."""

    status = 409
    code = "last_administrator"
    title = "This is the last administrator"


class TokenNotFoundError(HubError):
    """No such token, or somebody else's."""

    status = 404
    code = "token_not_found"
    title = "There is no such token"

    def __init__(self) -> None:
        super().__init__("It may have been deleted or have expired, or it belongs to somebody else.")


class SignInNotFoundError(HubError):
    """No such sign-in, or somebody else's."""

    status = 404
    code = "sign_in_not_found"
    title = "There is no such sign-in"

    def __init__(self) -> None:
        super().__init__("It may have ended already, or it belongs to somebody else.")


class InviteNotFoundError(HubError):
    """No such invite."""

    status = 404
    code = "invite_not_found"
    title = "There is no such invite"

    def __init__(self) -> None:
        super().__init__("It may have been used or have expired.")


class UserNotFoundError(HubError):
    """No such user."""

    status = 404
    code = "user_not_found"
    title = "There is no such user"

    def __init__(self) -> None:
        super().__init__("The account may have been deleted.")


class CommonPasswordError(FieldError):
    """The password is one that attackers try first."""

    code = "common_password"
